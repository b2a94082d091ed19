-- How soon after exec the first open(2) is on the screen, and how much memory it took; beside the C opensnoop of
-- Debian's libbpf-tools, in turn on the same machine. Prints both figures and the ratio of the medians.
--
--   build/luaprobe tests/bench/first_event_bench.lua
--
-- Exits 77 where the peer is not installed, 1 when a bar is missed.
local ffi = require "ffi"

local RUNS = 7
local BARS = { { "first event", "ms", 1.25 }, { "peak RSS", "kB", 1.0 } }
local MARK = "/nonexistent/luaprobe-bench"

-- A child that opens MARK all the time, and one tool after the other on a terminal of its own, as a user has it: on a
-- pipe the C tool would hold its lines back.
ffi.cdef [[
  typedef int pid_t;
  pid_t fork(void);
  int execvp(const char *file, char *const argv[]);
  void _exit(int status);
  int kill(pid_t pid, int signal);
  pid_t waitpid(pid_t pid, int *status, int options);
  int posix_openpt(int flags);
  int grantpt(int fd);
  int unlockpt(int fd);
  char *ptsname(int fd);
  int open(const char *path, int flags, ...);
  int close(int fd);
  int dup2(int from, int to);
  ssize_t read(int fd, void *buffer, size_t size);
  int usleep(unsigned int microseconds);
  long long lp_time_monotonic_ns(void) __asm__("lp_time_monotonic");
]]
local C = ffi.C
local O_RDWR, O_WRONLY, SIGINT, SIGKILL = 2, 1, 2, 9

local function now()
  return tonumber(C.lp_time_monotonic_ns())
end

local function start_opener()
  local pid = C.fork()
  if pid > 0 then return pid end
  while true do
    C.close(C.open(MARK, 0))
    C.usleep(200)
  end
end

local function exec(terminal, words)
  for fd = 0, 1 do C.dup2(terminal, fd) end
  C.dup2(C.open("/dev/null", O_WRONLY), 2)
  local argv = ffi.new("char *[?]", #words + 1)
  for i, word in ipairs(words) do argv[i - 1] = ffi.cast("char *", word) end
  C.execvp(words[1], argv)
  C._exit(127)
end

local function peak_rss(pid)
  local file = assert(io.open(("/proc/%d/status"):format(pid)))
  local kilobytes = file:read("*a"):match "VmHWM:%s*(%d+)"
  file:close()
  return tonumber(kilobytes)
end

-- Runs a tool until it shows MARK; milliseconds since exec, and its peak RSS in kB.
local function measure(words)
  local main = C.posix_openpt(O_RDWR)
  assert(main >= 0 and C.grantpt(main) == 0 and C.unlockpt(main) == 0, "no pseudo-terminal")
  local terminal = C.open(C.ptsname(main), O_RDWR)
  local start = now()
  local pid = C.fork()
  if pid == 0 then exec(terminal, words) end
  C.close(terminal)
  local text, buffer = "", ffi.new "char[4096]"
  while not text:find(MARK, 1, true) do
    local size = tonumber(C.read(main, buffer, 4096))
    if size <= 0 then error(words[1] .. " ended before it showed an open: " .. text) end
    text = text:sub(-200) .. ffi.string(buffer, size)
  end
  local milliseconds, kilobytes = (now() - start) / 1e6, peak_rss(pid)
  C.kill(pid, SIGINT)
  while tonumber(C.read(main, buffer, 4096)) > 0 do end
  C.waitpid(pid, nil, 0)
  C.close(main)
  return milliseconds, kilobytes
end

local function find_peer()
  local pipe = io.popen "PATH=$PATH:/usr/sbin command -v opensnoop"
  local path = pipe:read "*l"
  pipe:close()
  if not path then return nil, "the C opensnoop is not installed (Debian: libbpf-tools)" end
  local file = assert(io.open(path, "rb"))
  local magic = file:read(4)
  file:close()
  if magic ~= "\127ELF" then return nil, path .. " is not the C opensnoop" end
  return path
end

local function median(list)
  table.sort(list)
  return list[math.ceil(#list / 2)]
end

local peer, reason = find_peer()
if not peer then
  print("skipped: " .. reason)
  os.exit(77)
end

-- The peer needs tracefs mounted; this process's own mount namespace keeps that from the machine.
local CLONE_NEWNS, MS_REC_PRIVATE = 0x20000, 0x44000
ffi.cdef [[
  int unshare(int flags);
  int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
]]
if C.unshare(CLONE_NEWNS) ~= 0 then
  print "skipped: needs root"
  os.exit(77)
end
C.mount("none", "/", nil, MS_REC_PRIVATE, nil)
C.mount("nodev", "/sys/kernel/tracing", "tracefs", 0, nil)

local opener = start_opener()
local ours, theirs = { {}, {} }, { {}, {} }
local ok, failure = pcall(function()
  for i = 1, RUNS do
    ours[1][i], ours[2][i] = measure { arg[-1] or "build/luaprobe", "opensnoop" }
    theirs[1][i], theirs[2][i] = measure { peer }
  end
end)
C.kill(opener, SIGKILL)
if not ok then error(failure, 0) end

local missed = false
for i, bar in ipairs(BARS) do
  local name, unit, most = unpack(bar)
  local mine, peers = median(ours[i]), median(theirs[i])
  print(("%-12s luaprobe %8.1f %s   C %8.1f %s   ratio %.2f (bar %.2f)"):format(name, mine, unit, peers, unit,
    mine / peers, most))
  missed = missed or mine / peers > most
end
os.exit(missed and 1 or 0)
