-- The table: every kind of probe by every mechanism, on this kernel. Each cell is attached, fires exactly as often as
-- it is called, with the right arguments and results; not while it is disabled; again when it is enabled; no more once
-- it is detached; and leaves nothing behind. Or it is refused with the expected error. The table is printed at the end.
local ffi = require "ffi"
local helper = require "helper"

if not helper.is_root() then
  describe("probes", function() pending "needs root" end)
  return
end

local CALLS = 1000
local DIRECTORY = 12345 -- which openat ignores, since the path is absolute
local PATH = "/nonexistent/luaprobe"
local ENOENT = -2
local version = helper.kernel_version()
local has_kprobes = helper.has_kprobes()
local SYS_OPENAT = jit.arch == "x64" and 257 or 56

local function openat(count)
  for _ = 1, count do
    ffi.C.syscall(SYS_OPENAT, ffi.cast("int", DIRECTORY), ffi.cast("const char *", PATH), ffi.cast("int", 0),
      ffi.cast("int", 0))
  end
end

-- The process that the user-space probes are for.
local callee = { path = helper.absolute(helper.build .. "/tests/callee") }

function callee.start()
  callee.directory, callee.remove = helper.temporary_directory()
  os.execute("mkfifo " .. callee.directory .. "/in")
  callee.job = helper.start(callee.path .. " <" .. callee.directory .. "/in")
  callee.input = assert(io.open(callee.directory .. "/in", "w"))
  callee.lines = 0
end

function callee.call(count)
  callee.input:write(count, "\n")
  callee.input:flush()
  callee.lines = callee.lines + 1
  assert(helper.eventually(20, function()
    return select(2, callee.job.out():gsub("\n", "")) == callee.lines
  end))
  assert.are.equal(count * 43, tonumber(callee.job.out():match "(%d+)\n$"))
end

function callee.stop()
  callee.input:close()
  callee.job.wait()
  callee.remove()
end

-- Fresh pages to touch, one fault each.
pcall(ffi.cdef, [[
  void *mmap(void *address, size_t size, int protection, int flags, int fd, long offset);
  int munmap(void *address, size_t size);
  int madvise(void *address, size_t size, int advice);
]])
local pages = { count = 2 * CALLS + 100, next = 0 }

function pages.map()
  local PRIVATE_ANONYMOUS, READ_WRITE, NOHUGEPAGE = 0x22, 3, 15
  pages.memory = ffi.cast("char *", ffi.C.mmap(nil, pages.count * 4096, READ_WRITE, PRIVATE_ANONYMOUS, -1, 0))
  ffi.C.madvise(pages.memory, pages.count * 4096, NOHUGEPAGE)
  pages.next = 0
end

function pages.touch(count)
  for _ = 1, count do
    pages.memory[pages.next * 4096] = 1
    pages.next = pages.next + 1
  end
end

function pages.unmap()
  ffi.C.munmap(pages.memory, pages.count * 4096)
end

-- Since which kernel; Debian's 6.1 is built without FPROBE, which kprobe.multi needs.
local link = version >= 5015
local fprobe = has_kprobes and version >= 6012
local uprobe_multi = version >= 6006
local EVERY_PERF = { auto = true, link = link, perf = true }

local function kernel_kind(name, target, program, first, second)
  return { name = name, target = target, program = program, call = openat, first = first, second = second,
    works = has_kprobes, mechanisms = { auto = true, link = link, perf = true, legacy = true, multi = fprobe } }
end

local function tracing_kind(name, target, program, first, second, works)
  return { name = name, target = target, program = program, call = openat, first = first, second = second,
    works = works, mechanisms = { auto = true, tracing = true } }
end

local function user_kind(name, program, first, second)
  return { name = name, target = ("%s:%s:callee"):format(name, callee.path), program = program, call = callee.call,
    start = callee.start, stop = callee.stop, first = first, second = second, works = true,
    mechanisms = { auto = true, link = link, perf = true, legacy = true, multi = uprobe_multi } }
end

-- What each kind does: the target, which program, how it is called, what a call adds to `first` and `second`.
local letter = ("n"):byte() -- the second character of PATH
local KINDS = {
  kernel_kind("kprobe", "kprobe:do_sys_openat2", "on_kprobe", DIRECTORY, letter),
  kernel_kind("kretprobe", "kretprobe:do_sys_openat2", "on_kretprobe", ENOENT, 0),
  kernel_kind("ksyscall", "ksyscall:openat", "on_ksyscall", DIRECTORY, letter),
  kernel_kind("kretsyscall", "kretsyscall:openat", "on_kretsyscall", ENOENT, 0),
  user_kind("uprobe", "on_uprobe", 3, 40),
  user_kind("uretprobe", "on_uretprobe", 43, 0),
  { name = "usdt", target = ("usdt:%s:luaprobe_test:called"):format(callee.path), program = "on_usdt",
    call = callee.call, start = callee.start, stop = callee.stop, first = 3, second = 40, works = true,
    one_process = not link, -- without cookies libbpf tells a library's probes apart by process
    mechanisms = { auto = true, libbpf = true } },
  { name = "tracepoint", target = "tracepoint:syscalls:sys_enter_openat", program = "on_tracepoint", call = openat,
    first = DIRECTORY, second = letter, works = true, mechanisms = EVERY_PERF },
  tracing_kind("raw_tracepoint", "raw_tracepoint:sys_enter", "on_raw_tracepoint", DIRECTORY, letter, true),
  tracing_kind("tp_btf", "tp_btf:sys_enter", "on_tp_btf", 0, 0, true),
  tracing_kind("fentry", "fentry:do_sys_openat2", "on_fentry", DIRECTORY, letter, has_kprobes),
  tracing_kind("fexit", "fexit:do_sys_openat2", "on_fexit", ENOENT, 0, has_kprobes),
  { name = "perf_event", target = "software:page-faults:1", program = "on_perf_event", call = pages.touch,
    start = pages.map, stop = pages.unmap, first = 1, second = 0, works = true, mechanisms = EVERY_PERF },
}
local MECHANISMS = { "auto", "link", "perf", "legacy", "multi", "tracing", "libbpf" }

local function open(program, const)
  local from = ffi.cast("uint64_t", ffi.cast("uintptr_t", pages.memory))
  const = const or {}
  const.only_pid = const.only_pid or callee.job and callee.job.pid or helper.pid
  const.faults_from, const.faults_to = from, from + pages.count * 4096
  local object = helper.open("probes", { const = const })
  for _, other in ipairs(object.programs) do other:set_autoload(other.name == program) end
  object:load()
  return object, object.programs[program]
end

local function seen(object, kind)
  local of = object.data[kind.name .. "_seen"]
  return { tonumber(of.calls), tonumber(of.first), tonumber(of.second) }
end

local function expect(object, kind, calls)
  assert.are.same({ calls, calls * kind.first, calls * kind.second }, seen(object, kind))
end

-- The tracing programs of kernels before 5.13 can be attached only once.
local function can_be_disabled(kind, mechanism)
  return mechanism ~= "multi" and not (mechanism == "tracing" and kind.name ~= "raw_tracepoint" and version < 5013)
end

local function check_works(kind, mechanism)
  local object, program = open(kind.program)
  local probe = program:attach { target = kind.target, mechanism = mechanism,
    pid = kind.one_process and callee.job.pid or nil }
  assert.are.equal(kind.target, probe.target)
  if mechanism ~= "auto" then assert.are.equal(mechanism, probe.mechanism) end
  kind.call(CALLS)
  expect(object, kind, CALLS)
  if can_be_disabled(kind, probe.mechanism) then
    probe:disable()
    kind.call(10)
    expect(object, kind, CALLS)
    probe:enable()
    kind.call(CALLS)
    expect(object, kind, 2 * CALLS)
  else
    local ok, reason = pcall(probe.disable, probe)
    assert.is_false(ok)
    assert.is_truthy(reason.hint:find "detach it")
  end
  local before = seen(object, kind)
  probe:detach()
  kind.call(10)
  assert.are.same(before, seen(object, kind))
  object:close()
  return probe.mechanism
end

local function check_refused(kind, mechanism)
  local object
  local ok, reason = pcall(function()
    local program
    object, program = open(kind.program)
    program:attach { target = kind.target, mechanism = mechanism }
  end)
  if object then object:close() end
  assert.is_false(ok)
  assert.is_truthy(reason.hint, tostring(reason))
  return reason.code
end

local cells = {}

local function check_cell(kind, mechanism, works)
  cells[kind.name][mechanism] = "FAILED"
  if works then
    cells[kind.name][mechanism] = check_works(kind, mechanism)
  else
    local code = check_refused(kind, mechanism)
    cells[kind.name][mechanism] = kind.mechanisms[mechanism] ~= nil and code or "-" -- never there for this kind
  end
end

describe("probes", function()
  helper.check_leaks(before_each, after_each)

  for _, kind in ipairs(KINDS) do
    cells[kind.name] = {}
    for _, mechanism in ipairs(MECHANISMS) do
      local works = kind.works and kind.mechanisms[mechanism] or false
      it(("%s by %s %s"):format(kind.name, mechanism, works and "counts exactly" or "is refused, with a reason"),
        function()
          if kind.start then kind.start() end
          local ok, failure = pcall(check_cell, kind, mechanism, works)
          if kind.stop then kind.stop() end
          callee.job = nil
          if not ok then error(failure, 0) end
        end)
    end
  end

  teardown(function()
    print(("# %-15s%s"):format(helper.read("/proc/sys/kernel/osrelease"):match "^[%d.]+",
      ("%-11s"):rep(#MECHANISMS):format(unpack(MECHANISMS))))
    for _, kind in ipairs(KINDS) do
      local row = {}
      for i, mechanism in ipairs(MECHANISMS) do row[i] = cells[kind.name][mechanism] or "?" end
      print(("# %-15s%s"):format(kind.name, ("%-11s"):rep(#MECHANISMS):format(unpack(row))))
    end
  end)
end)
