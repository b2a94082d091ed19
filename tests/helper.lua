--- What the specs share: running programs, fixtures, and the check that nothing is left behind.
local ffi = require "ffi"

local M = {}

M.build = os.getenv "LUAPROBE_BUILD" or "build"
M.luaprobe = M.build .. "/luaprobe"
M.fixtures = M.build .. "/tests/fixtures/"
M.opener = M.build .. "/tests/opener"

-- Declarations live as long as the process, and busted loads this file once per spec file.
pcall(ffi.cdef, [[
  long syscall(long number, ...);
  int getpid(void);
  int usleep(unsigned int microseconds);
  int getpgid(int pid);
  int kill(int pid, int signal);
  int sched_getaffinity(int pid, size_t size, void *mask);
  int sched_setaffinity(int pid, size_t size, const void *mask);
]])

local SYS_BPF = jit.arch == "x64" and 321 or 280

function M.sleep(seconds)
  ffi.C.usleep(seconds * 1e6)
end

M.pid = ffi.C.getpid()

--- Calls getpgid(2), which the fixtures trace.
function M.getpgid(argument)
  return ffi.C.getpgid(argument)
end

function M.kill(pid, signal)
  return ffi.C.kill(pid, signal)
end

--- Calls a function while this thread runs on one CPU, below 64.
function M.on_cpu(cpu, fn)
  local before, one = ffi.new "uint64_t[16]", ffi.new "uint64_t[16]"
  assert(ffi.C.sched_getaffinity(0, 128, before) >= 0)
  one[0] = bit.lshift(1ULL, cpu)
  assert(ffi.C.sched_setaffinity(0, 128, one) == 0, "no CPU " .. cpu)
  local ok, failure = pcall(fn)
  assert(ffi.C.sched_setaffinity(0, 128, before) == 0)
  if not ok then error(failure, 0) end
end

function M.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

function M.exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

function M.write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

--- The path of a file that there is, from the root.
function M.absolute(path)
  local pipe = io.popen("realpath " .. path)
  local absolute = pipe:read "*l"
  pipe:close()
  return absolute
end

--- A directory that is removed by the result's second value.
function M.temporary_directory()
  local pipe = io.popen "mktemp -d"
  local path = pipe:read "*l"
  pipe:close()
  return path, function() os.execute(("rm -rf '%s'"):format(path)) end
end

function M.quote(word)
  return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end

--- Runs a shell command to its end. It has no descriptors but the standard ones, so what it opens is 3.
-- @treturn string its standard output
-- @treturn string its standard error
-- @treturn number its exit status; 128 + N when signal N ended it
function M.run(command)
  local directory, remove = M.temporary_directory()
  local status = os.execute(("( exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; %s\n) >%s/out 2>%s/err"):format(
    command, directory, directory))
  local out, err = M.read(directory .. "/out"), M.read(directory .. "/err")
  remove()
  -- system(3): the exit status in the upper byte, a signal in the lower one
  return out, err, status > 255 and math.floor(status / 256) or status > 0 and 128 + status or 0
end

--- Runs luaprobe with arguments as the shell reads them.
function M.luaprobe_run(arguments)
  return M.run(M.luaprobe .. " " .. arguments)
end

local started = {} -- jobs that nobody waited for, as keys

--- Starts a shell command in the background.
-- @treturn table `pid`; `wait()` gives what run does; `out()` and `err()` what it printed so far; `signal(number)`
function M.start(command)
  local directory, remove = M.temporary_directory()
  local script = M.quote(("echo $$ >%s/pid; exec %s"):format(directory, command))
  os.execute((("( sh -c SCRIPT >@/out 2>@/err; echo $? >@/code; mv @/code @/status ) >/dev/null 2>&1 &")
    :gsub("@", directory):gsub("SCRIPT", function() return script end)))
  local function read(name)
    local file = io.open(directory .. "/" .. name)
    local text = file and file:read "*a" or ""
    if file then file:close() end
    return text
  end
  assert(M.eventually(5, function() return read "pid":find "\n" end), "not started: " .. command)
  local job = { pid = tonumber(read "pid") }
  function job.out() return read "out" end
  function job.err() return read "err" end
  function job.signal(signal) return M.kill(job.pid, signal) end
  -- Seconds to wait at most: 60.
  function job.wait(patience)
    assert(M.eventually(patience or 60, function() return read "status" ~= "" end), "still running: " .. command)
    local out, err, status = read "out", read "err", tonumber(read "status")
    remove()
    started[job] = nil
    return out, err, status
  end
  function job.is_over() return read "status" ~= "" end
  started[job] = true
  return job
end

-- Ends what a test that failed left running.
local function end_started()
  for job in pairs(started) do
    if not job.is_over() then job.signal(9) end
    pcall(job.wait, 10)
    started[job] = nil
  end
end

--- Waits until a condition holds.
-- @tparam number seconds how long at most
-- @treturn boolean whether it came to hold
function M.eventually(seconds, condition)
  for _ = 1, seconds * 50 do
    if condition() then return true end
    M.sleep(0.02)
  end
  return condition() and true or false
end

--- What a call says that must fail.
function M.refusal(call, ...)
  local ok, reason = pcall(call, ...)
  assert(not ok, "it has not failed")
  return tostring(reason)
end

--- Fails unless a text contains all parts, as they are.
function M.contains(text, ...)
  for _, part in ipairs { ... } do assert(text:find(part, 1, true), text) end
end

--- Whether this kernel has kprobes.
function M.has_kprobes()
  return M.exists "/sys/bus/event_source/devices/kprobe/type"
end

--- The running kernel's version as a number: 6.12 is 6012.
function M.kernel_version()
  local major, minor = M.read("/proc/sys/kernel/osrelease"):match "^(%d+)%.(%d+)"
  return tonumber(major) * 1000 + tonumber(minor)
end

--- Whether this is one of the guests of tests/vm.
function M.is_guest()
  return M.read "/proc/sys/kernel/hostname" == "luaprobe-guest\n"
end

function M.is_root()
  return M.read("/proc/self/status"):match "Uid:%s+%d+%s+(%d+)" == "0"
end

-- BPF_PROG_GET_NEXT_ID, BPF_MAP_GET_NEXT_ID, BPF_LINK_GET_NEXT_ID of <linux/bpf.h>
local GET_NEXT_ID = { programs = 11, maps = 12, links = 31 }

local function count_ids(command)
  local attr = ffi.new("uint32_t[32]")
  local count, id = 0, 0
  while true do
    attr[0], attr[1] = id, 0
    if ffi.C.syscall(SYS_BPF, ffi.cast("int", command), attr, ffi.cast("int", 128)) ~= 0 then return count end
    id, count = attr[1], count + 1
  end
end

local function count_descriptors()
  local pipe = io.popen(("ls /proc/%d/fd | wc -l"):format(M.pid))
  local count = tonumber(pipe:read "*l")
  pipe:close()
  return count
end

-- Events in tracefs, which need not be mounted: looked at in a mount namespace of its own.
local function tracefs_events()
  local pipe = io.popen [[unshare -m sh -c 'mount -t tracefs nodev /sys/kernel/tracing 2>/dev/null
    cat /sys/kernel/tracing/kprobe_events /sys/kernel/tracing/uprobe_events 2>/dev/null']]
  local text = pipe:read "*a"
  pipe:close()
  return text
end

--- What this process and the kernel hold.
function M.holdings()
  require("luaprobe.cdef").lp_probe_settle()
  collectgarbage()
  collectgarbage()
  local found = { descriptors = count_descriptors(), tracefs = tracefs_events() }
  for name, command in pairs(GET_NEXT_ID) do found[name] = count_ids(command) end
  return found
end

-- Less is no leak: what an earlier test dropped may have been collected meanwhile.
local function nothing_more(before, after)
  return after.tracefs == before.tracefs and after.descriptors <= before.descriptors
    and after.programs <= before.programs and after.maps <= before.maps and after.links <= before.links
end

--- Fails when more is held than before. The kernel frees programs some time after their last user is gone, and
-- somebody else may be tracing this machine for a moment.
function M.assert_nothing_left(before)
  local after
  M.eventually(10, function()
    after = M.holdings()
    return nothing_more(before, after)
  end)
  if not nothing_more(before, after) then require "luassert".same(before, after) end
end

--- Makes every test of the describe block check that it leaves nothing behind.
-- Pass busted's before_each and after_each, which are not global in here.
function M.check_leaks(before_each, after_each)
  local before
  before_each(function() before = M.holdings() end)
  after_each(function()
    end_started()
    M.assert_nothing_left(before)
  end)
end

function M.has_program(name)
  return os.execute(("command -v %s >/dev/null 2>&1"):format(name)) == 0
end

--- Lets python3 judge: feeds it text as standard input.
-- @treturn string what it printed; its exit status must be 0
function M.python(code, input)
  local directory, remove = M.temporary_directory()
  M.write(directory .. "/input", input)
  M.write(directory .. "/code.py", code)
  local out, err, status = M.run(("python3 %s/code.py <%s/input"):format(directory, directory))
  remove()
  if status ~= 0 then error("python3: " .. err, 2) end
  return out
end

--- Opens a fixture.
function M.open(name, opts)
  return require "luaprobe".open(M.fixtures .. name .. ".bpf.o", opts)
end

return M
