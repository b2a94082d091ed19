--- A pseudo-terminal with a screen: runs a program in it, types, and tells what is to be seen.
local ffi = require "ffi"
local helper = require "helper"

pcall(ffi.cdef, [[
  int posix_openpt(int flags);
  int grantpt(int fd);
  int unlockpt(int fd);
  char *ptsname(int fd);
  int ioctl(int fd, unsigned long request, ...);
  struct pollfd_of_terminal { int fd; short events, revents; };
  int poll(struct pollfd_of_terminal *fds, unsigned long count, int timeout);
]])
pcall(ffi.cdef, "long read(int fd, void *buffer, size_t size);")
pcall(ffi.cdef, "long write(int fd, const void *buffer, size_t size);")
pcall(ffi.cdef, "int close(int fd);")

local M = {}
M.__index = M

local TIOCSWINSZ = 0x5414
local PATIENCE = 120 -- seconds: an emulated guest on a busy machine is a hundred times slower, and only a failure waits
local O_RDWR, O_NOCTTY, O_CLOEXEC = 2, 256, 524288

-- ---- the screen ----------------------------------------------------------------------------------------------------

local Screen = {}
Screen.__index = Screen

local function new_screen(columns, rows)
  return setmetatable({ columns = columns, rows = rows, lines = { {} }, row = 1, column = 1, rest = "" }, Screen)
end

-- Lines that scroll out at the top are kept: rows are counted from the beginning of time.
local function line_at(self, row)
  while #self.lines < row do self.lines[#self.lines + 1] = {} end
  return self.lines[row]
end

local function put(self, char)
  if self.column > self.columns then self.row, self.column = self.row + 1, 1 end
  line_at(self, self.row)[self.column] = char
  self.column = self.column + 1
end

local function erase_line(self, mode)
  local line = line_at(self, self.row)
  local from, to = self.column, self.columns
  if mode == 1 then from, to = 1, self.column elseif mode == 2 then from = 1 end
  for i = from, to do line[i] = nil end
end

local CSI = {}

CSI.A = function(self, n) self.row = math.max(1, self.row - n) end
CSI.B = function(self, n) self.row = self.row + n end
CSI.C = function(self, n) self.column = math.min(self.columns, self.column + n) end
CSI.D = function(self, n) self.column = math.max(1, math.min(self.columns, self.column) - n) end
CSI.G = function(self, n) self.column = n end
CSI.K = function(self, _, n) erase_line(self, n or 0) end

function CSI.J(self, _, n)
  assert((n or 0) == 0, "only the rest of the screen is erased")
  erase_line(self, 0)
  for row = self.row + 1, #self.lines do self.lines[row] = {} end
end

CSI["@"] = function(self, n)
  local line = line_at(self, self.row)
  for i = self.columns, self.column + n, -1 do line[i] = line[i - n] end
  for i = self.column, self.column + n - 1 do line[i] = " " end
end

CSI.P = function(self, n)
  local line = line_at(self, self.row)
  for i = self.column, self.columns do line[i] = line[i + n] end
end

CSI.m, CSI.h, CSI.l = function() end, function() end, function() end

local CONTROL = {
  ["\r"] = function(self) self.column = 1 end,
  ["\n"] = function(self) self.row = self.row + 1 end,
  ["\b"] = function(self) self.column = math.max(1, self.column - 1) end,
  ["\a"] = function() end,
  ["\t"] = function(self) self.column = self.column + 8 - (self.column - 1) % 8 end,
}

-- One character or sequence at a place; returns where the next one begins, nil when it is not all there yet.
local function step(self, text, at)
  local char = text:sub(at, at)
  if char == "\27" then
    local parameters, final, behind = text:match("^\27%[([%d;?]*)([@-~])()", at)
    if final then
      local n = tonumber(parameters:match "^%d+")
      assert(CSI[final], "unknown sequence ESC [ " .. parameters .. final)(self, math.max(n or 1, 1), n)
      return behind
    end
    return text:find("^\27[=>()]", at) and at + 2 or nil
  end
  if CONTROL[char] then
    CONTROL[char](self)
    return at + 1
  end
  local whole = text:match("^[%z\1-\127\194-\244][\128-\191]*", at) or char
  put(self, whole)
  return at + #whole
end

function Screen:feed(bytes)
  local text, at = self.rest .. bytes, 1
  while at <= #text do
    local behind = step(self, text, at)
    if not behind then break end
    at = behind
  end
  self.rest = text:sub(at)
end

local function text_of(line, columns)
  local parts = {}
  for i = 1, columns do parts[i] = line[i] or " " end
  return (table.concat(parts):gsub("%s+$", ""))
end

--- All lines, those above the screen too.
function Screen:text()
  local lines = {}
  for i, line in ipairs(self.lines) do lines[i] = text_of(line, self.columns) end
  return table.concat(lines, "\n")
end

--- The last lines, for screens that much has gone over.
function Screen:tail(count)
  local lines = {}
  for i = math.max(1, #self.lines - count + 1), #self.lines do
    lines[#lines + 1] = text_of(self.lines[i], self.columns)
  end
  return table.concat(lines, "\n")
end

--- The line that the cursor is in, up to the cursor, and all of it.
function Screen:current()
  local line = text_of(line_at(self, self.row), self.columns)
  return line, self.column
end

-- ---- the terminal --------------------------------------------------------------------------------------------------

local buffer = ffi.new "char[65536]"

--- Takes what the program wrote until now, waiting for the first of it.
function M:pump(milliseconds)
  local fds = ffi.new "struct pollfd_of_terminal[1]"
  fds[0].fd, fds[0].events = self.fd, 1
  while ffi.C.poll(fds, 1, milliseconds or 0) > 0 do
    local got = tonumber(ffi.C.read(self.fd, buffer, 65536))
    if got <= 0 then
      self.over = true
      return false
    end
    local text = ffi.string(buffer, got)
    self.raw = self.raw .. text
    self.screen:feed(text)
    milliseconds = 0
  end
  return true
end

--- Types.
function M:type(text)
  local at = 1
  while at <= #text do
    at = at + math.max(0, tonumber(ffi.C.write(self.fd, text:sub(at, at + 255), math.min(256, #text - at + 1))))
    if not self:pump(0) then return end
  end
end

--- Waits until a condition holds, called with the screen. Raises with what is to be seen when it does not.
function M:wait(what, condition, seconds)
  local due = os.time() + (seconds or PATIENCE)
  while not condition(self.screen) do
    local alive = self:pump(50)
    if os.time() > due or not alive and not condition(self.screen) then
      error(("waited for %s in vain; the screen:\n%s"):format(what, self.screen:tail(30)), 2)
    end
  end
end

--- Waits until a text is to be seen behind a place of the whole text, and returns where it ends.
function M:expect(text, from)
  local last
  self:wait(("%q"):format(text), function(screen)
    last = select(2, screen:text():find(text, from or 1, true))
    return last
  end)
  return last
end

--- Types a line and returns what is printed before the next prompt.
function M:line(text)
  self:type(text .. "\r")
  local from = self.seen
  local answer, behind
  self:wait("the answer to " .. text, function(screen)
    local all = screen:text()
    -- The echo, the answer, and the prompt at the very end.
    if not all:find "\n> $" and not all:find "\n>$" then return false end
    local first = all:find("\n", from, true)
    if not first then return false end
    answer, behind = all:sub(first + 1):match "^(.*\n?)>%s*$", #all
    return answer
  end)
  self.seen = behind
  return (answer:gsub("\n$", ""))
end

--- Makes the terminal another size; what runs in it is told by SIGWINCH.
function M:resize(rows, columns)
  ffi.C.ioctl(self.fd, TIOCSWINSZ, ffi.new("unsigned short[4]", rows, columns))
end

function M:close()
  ffi.C.close(self.fd)
end

--- Starts a command in a terminal of its own.
-- @tparam string command
-- @tparam[opt] table size `columns`, `rows`
function M.start(command, size)
  size = size or { columns = 100, rows = 30 }
  local fd = ffi.C.posix_openpt(O_RDWR + O_NOCTTY + O_CLOEXEC)
  assert(fd >= 0 and ffi.C.grantpt(fd) == 0 and ffi.C.unlockpt(fd) == 0, "no pseudo-terminal")
  local name = ffi.string(ffi.C.ptsname(fd))
  ffi.C.ioctl(fd, TIOCSWINSZ, ffi.new("unsigned short[4]", size.rows, size.columns))
  local terminal = setmetatable({ fd = fd, screen = new_screen(size.columns, size.rows), raw = "", seen = 1 }, M)
  os.execute(("TERM=xterm setsid -c sh -c %s <%s >%s 2>%s &"):format(helper.quote("exec " .. command), name, name,
    name))
  return terminal
end

return M
