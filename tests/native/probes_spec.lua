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

-- Kernels as the table's conditions name them. Debian builds FPROBE, which kprobe.multi needs, since 6.2 or so.
local function since(number) return version >= number end
local kprobes = has_kprobes
local fprobe = has_kprobes and since(6012)

-- What each kind does: the target, which program, how it is called, what a call adds to `first` and `second`.
local function kernel_kind(target, program, first, second)
  return { target = target, program = program, call = openat, first = first, second = second, works = kprobes }
end

local letter = ("n"):byte() -- the second character of PATH
local KINDS = {
  kprobe = kernel_kind("kprobe:do_sys_openat2", "on_kprobe", DIRECTORY, letter),
  kretprobe = kernel_kind("kretprobe:do_sys_openat2", "on_kretprobe", ENOENT, 0),
  ksyscall = kernel_kind("ksyscall:openat", "on_ksyscall", DIRECTORY, letter),
  kretsyscall = kernel_kind("kretsyscall:openat", "on_kretsyscall", ENOENT, 0),
  tracepoint = { target = "tracepoint:syscalls:sys_enter_openat", program = "on_tracepoint", call = openat,
    first = DIRECTORY, second = letter, works = true },
  raw_tracepoint = { target = "raw_tracepoint:sys_enter", program = "on_raw_tracepoint", call = openat,
    first = DIRECTORY, second = letter, works = true },
  tp_btf = { target = "tp_btf:sys_enter", program = "on_tp_btf", call = openat, first = 0, second = 0, works = true },
  fentry = kernel_kind("fentry:do_sys_openat2", "on_fentry", DIRECTORY, letter),
  fexit = kernel_kind("fexit:do_sys_openat2", "on_fexit", ENOENT, 0),
}

local MECHANISMS = { "auto", "link", "perf", "legacy", "multi", "tracing" }
local OF_KIND = {
  kprobe = { link = since(5015), perf = true, legacy = true, multi = fprobe, auto = true },
  kretprobe = { link = since(5015), perf = true, legacy = true, multi = fprobe, auto = true },
  ksyscall = { link = since(5015), perf = true, legacy = true, multi = fprobe, auto = true },
  kretsyscall = { link = since(5015), perf = true, legacy = true, multi = fprobe, auto = true },
  tracepoint = { link = since(5015), perf = true, auto = true },
  raw_tracepoint = { tracing = true, auto = true },
  tp_btf = { tracing = true, auto = true },
  fentry = { tracing = true, auto = true },
  fexit = { tracing = true, auto = true },
}
local ORDER = { "kprobe", "kretprobe", "ksyscall", "kretsyscall", "tracepoint", "raw_tracepoint", "tp_btf",
  "fentry", "fexit" }

local function open(program)
  local object = helper.open("probes", { const = { only_pid = helper.pid } })
  for _, other in ipairs(object.programs) do other:set_autoload(other.name == program) end
  object:load()
  return object, object.programs[program]
end

local function seen(object, kind)
  local of = object.data[kind .. "_seen"]
  return { tonumber(of.calls), tonumber(of.first), tonumber(of.second) }
end

local function expect(object, name, kind, calls)
  assert.are.same({ calls, calls * kind.first, calls * kind.second }, seen(object, name))
end

local function check_works(name, mechanism)
  local kind = KINDS[name]
  local object, program = open(kind.program)
  local probe = program:attach { target = kind.target, mechanism = mechanism }
  assert.are.equal(kind.target, probe.target)
  if mechanism ~= "auto" then assert.are.equal(mechanism, probe.mechanism) end
  kind.call(CALLS)
  expect(object, name, kind, CALLS)
  if mechanism == "multi" then
    local ok, reason = pcall(probe.disable, probe)
    assert.is_false(ok)
    assert.is_truthy(reason.hint:find "detach it")
  else
    probe:disable()
    kind.call(10)
    expect(object, name, kind, CALLS)
    probe:enable()
    kind.call(CALLS)
    expect(object, name, kind, 2 * CALLS)
  end
  local before = seen(object, name)
  probe:detach()
  kind.call(10)
  assert.are.same(before, seen(object, name))
  object:close()
  return probe.mechanism
end

local function check_refused(name, mechanism)
  local kind = KINDS[name]
  local ok, reason = pcall(function()
    local object, program = open(kind.program)
    local attached, failure = pcall(program.attach, program, { target = kind.target, mechanism = mechanism })
    object:close()
    if not attached then error(failure, 0) end
  end)
  assert.is_false(ok)
  assert.is_truthy(reason.hint, tostring(reason))
  return reason.code
end

local cells = {}

describe("probes", function()
  helper.check_leaks(before_each, after_each)

  for _, name in ipairs(ORDER) do
    cells[name] = {}
    for _, mechanism in ipairs(MECHANISMS) do
      local works = KINDS[name].works and OF_KIND[name][mechanism] or false
      it(("%s by %s %s"):format(name, mechanism, works and "counts exactly" or "is refused, with a reason"), function()
        cells[name][mechanism] = "FAILED"
        if works then
          cells[name][mechanism] = check_works(name, mechanism)
        else
          cells[name][mechanism] = "-" -- never there for this kind
          local code = check_refused(name, mechanism)
          if OF_KIND[name][mechanism] ~= nil then cells[name][mechanism] = code end
        end
      end)
    end
  end

  teardown(function()
    print(("%-15s"):format("# " .. helper.read("/proc/sys/kernel/osrelease"):match "^[%d.]+")
      .. table.concat(MECHANISMS, "\t"))
    for _, name in ipairs(ORDER) do
      local row = {}
      for i, mechanism in ipairs(MECHANISMS) do row[i] = cells[name][mechanism] or "?" end
      print(("# %-13s"):format(name) .. table.concat(row, "\t"))
    end
  end)
end)
