--- Finding files: objects by name, and the script that is running.
--
-- A name is looked for beside the script, in the directories of LUAPROBE_PATH, and inside the binary; never in the
-- current directory, since these scripts run as root wherever the user happens to stand.
-- @module luaprobe.find
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"

local M = {}

local OBJECT_LIMIT = 64 * 1024 * 1024 -- bytes; no BPF object comes near
local SCRIPT_LIMIT = 16 * 1024 * 1024

-- The directory of the running script, with its slash; nil for code from the command line or standard input.
local script_directory

--- Tells where the running script lies.
-- @tparam string|nil path its path
function M.set_script(path)
  script_directory = path and (path:match "^(.*/)" or "./")
end

local function read(path, limit)
  local bytes = ffi.new "struct lp_bytes"
  err.check(C.lp_bytes_read(path, limit, bytes))
  local text = ffi.string(bytes.data, bytes.size)
  C.lp_bytes_free(bytes)
  return text
end

local function embedded(name)
  local bytes = ffi.new "struct lp_bytes"
  return C.lp_bytes_embedded(name, bytes) and bytes or nil
end

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

-- The directories to search, relative ones left out: they would depend on where the user stands.
local function directories()
  local list = { script_directory }
  for directory in (os.getenv "LUAPROBE_PATH" or ""):gmatch "[^:]+" do
    if directory:sub(1, 1) == "/" then list[#list + 1] = directory .. "/" end
  end
  return list
end

local function object_on_disk(file)
  for _, directory in ipairs(directories()) do
    if exists(directory .. file) then return directory .. file end
  end
end

--- Finds a BPF object.
-- @tparam string what a path (it has a slash or ends in .o), or a name: "opensnoop" is the file opensnoop.bpf.o
-- @treturn string its name for messages
-- @return its bytes: a Lua string, or a `struct lp_bytes` when it is inside the binary
-- @raise error of stage "read"
function M.object(what)
  if what == "" or what:find "%c" then err.misuse("an object's name or path is text, not %q", what) end
  if what:find("/", 1, true) then return what, read(what, OBJECT_LIMIT) end
  local file = what:find "%.o$" and what or what .. ".bpf.o"
  local path = object_on_disk(file)
  if path then return path, read(path, OBJECT_LIMIT) end
  local bytes = embedded(file)
  if bytes then return file, bytes end
  err.raise { code = "ENOENT", stage = "read", message = ("there is no BPF object '%s'"):format(what),
    hint = ("a name is looked for as %s beside the script, on LUAPROBE_PATH and inside luaprobe; "
      .. "give a path with a slash for a file elsewhere: ./%s"):format(file, file) }
end

-- A script that comes from a pipe: luaprobe <(generate).
local function read_pipe(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read(SCRIPT_LIMIT + 1) or ""
  file:close()
  if #text <= SCRIPT_LIMIT then return text end
  err.raise { code = "EFBIG", stage = "read",
    message = ("%s: has more than the %d bytes that a script may have"):format(path, SCRIPT_LIMIT) }
end

local function read_file_or_pipe(path)
  local ok, text = pcall(read, path, SCRIPT_LIMIT)
  if ok then return text end
  if err.is(text) and text.message:find("is a FIFO", 1, true) then return read_pipe(path) end
  error(text, 0)
end

--- Finds a script.
-- @tparam string what the name of a built-in one ("opensnoop"), or a path
-- @treturn string its text
-- @treturn string what messages call it
-- @treturn string|nil its path, nil for a built-in one
-- @raise error of stage "read"
function M.script(what)
  local builtin = not what:find("/", 1, true) and embedded("scripts/" .. what .. ".lua")
  if builtin then return ffi.string(builtin.data, builtin.size), what .. ".lua" end
  local ok, text = pcall(read_file_or_pipe, what)
  if ok then return text, what, what end
  if err.is(text) and text.code == "ENOENT" then
    text.where, text.message = nil, ("there is no script '%s'"):format(what)
    text.hint = "it is neither a file nor one of the built-in scripts: " .. table.concat(M.builtin_scripts(), ", ")
  end
  error(text, 0)
end

--- The names of the built-in scripts, sorted.
function M.builtin_scripts()
  local names, i = {}, 0
  while true do
    local name = C.lp_bytes_embedded_name(i)
    if name == nil then break end
    names[#names + 1] = ffi.string(name):match "^scripts/(.*)%.lua$"
    i = i + 1
  end
  table.sort(names)
  return names
end

return M
