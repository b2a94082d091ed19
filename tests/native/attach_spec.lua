-- Attaching: every kind and mechanism of this version counts exactly, and nothing stays behind.
local helper = require "helper"

if not helper.is_root() then
  describe("attach", function() pending "needs root" end)
  return
end

local CALLS = 100
local KPROBE, KRETPROBE, ENTER, EXIT = 1, 2, 3, 4 -- enum probe of fixtures/getpgid.bpf.c
local has_links = helper.kernel_version() >= 5015

local function fixture()
  return helper.open("getpgid", { const = { only_pid = helper.pid } })
end

local function getpgid_times(count)
  for _ = 1, count do helper.getpgid(helper.pid) end
end

-- What is in the buffers now, by the program that sent it.
local function drain(object)
  require("luaprobe.limits").set_duration(0.2)
  local seen = {}
  for event in object.maps.events:each() do
    assert.are.equal(helper.pid, event.pid)
    seen[event.probe] = seen[event.probe] or {}
    table.insert(seen[event.probe], tonumber(event.value))
  end
  return seen
end

local function all_equal(list, count, value)
  assert.are.equal(count, list and #list or 0)
  for _, got in ipairs(list) do assert.are.equal(value, got) end
end

local function attach_one(object, target, mechanism)
  local probes = object:attach { first = { target }, mechanism = mechanism }
  assert.are.equal(1, #probes)
  assert.are.equal(target, probes[1].target)
  return probes[1]
end

describe("attach", function()
  local object
  before_each(function() object = fixture() end)
  after_each(function() object:close() end)
  helper.check_leaks(before_each, after_each) -- after the hook that closes the object

  -- kind, target, who sends, what it sends
  local kinds = {
    { "tracepoint:syscalls:sys_enter_getpgid", ENTER, helper.pid },
    { "tracepoint:syscalls:sys_exit_getpgid", EXIT, helper.getpgid(helper.pid) },
  }
  if helper.has_kprobes() then
    table.insert(kinds, { "kprobe:__x64_sys_getpgid", KPROBE, helper.pid })
    table.insert(kinds, { "kretprobe:__x64_sys_getpgid", KRETPROBE, helper.getpgid(helper.pid) })
  end

  for _, row in ipairs(kinds) do
    local target, sender, value = unpack(row)
    for _, mechanism in ipairs { "auto", "link", "perf" } do
      it(("%s by %s fires exactly %d times for %d calls, and no more once detached"):format(
        target, mechanism, CALLS, CALLS), function()
        if mechanism == "link" and not has_links then
          helper.contains(helper.refusal(attach_one, object, target, "link"),
            target .. ": this kernel has no mechanism link", "it needs Linux 5.15")
          return
        end
        local probe = attach_one(object, target, mechanism)
        local best = target:find "^kretprobe" and "legacy" or has_links and "link" or "perf"
        local expected = mechanism == "auto" and best or mechanism
        assert.are.equal(expected, probe.mechanism)
        getpgid_times(CALLS)
        assert.are.equal(CALLS, object.data.calls)
        probe:detach()
        probe:detach()
        getpgid_times(CALLS)
        assert.are.equal(CALLS, object.data.calls)
        local seen = drain(object)
        all_equal(seen[sender], CALLS, value)
        seen[sender] = nil
        assert.are.same({}, seen)
      end)
    end
  end

  it("of a single program works once it is loaded", function()
    assert.is_false(pcall(object.programs.enter.attach, object.programs.enter))
    for _, program in ipairs(object.programs) do program:set_autoload(program.kind == "tracepoint") end
    object:load()
    local probe = object.programs.enter:attach { mechanism = "perf" }
    getpgid_times(3)
    assert.are.equal(3, object.data.calls)
    assert.are.equal("probe tracepoint:syscalls:sys_enter_getpgid (perf)", tostring(probe))
    object:close()
    assert.are.equal("probe tracepoint:syscalls:sys_enter_getpgid (detached)", tostring(probe))
  end)

  it("takes the first rung that this kernel can attach, and says which", function()
    local probes = object:attach { first = { { "kprobe", "kretprobe" }, "tracepoint" } }
    assert.are.equal(2, #probes)
    assert.are.equal(helper.has_kprobes() and 1 or 2, probes[1].rung)
    getpgid_times(5)
    assert.are.equal(10, object.data.calls)
  end)

  it("leaves out what is not to be loaded", function()
    local wanted = { on_tracepoint = true, on_raw_tracepoint = true }
    local other = helper.open "probes"
    for _, program in ipairs(other.programs) do program.autoload = wanted[program.name] or false end
    local attached = other:attach()
    assert.are.equal(2, #attached)
    for _, probe in ipairs(attached) do assert.is_true(wanted[probe.program.name]) end
    helper.contains(helper.refusal(other.programs.on_uprobe.attach, other.programs.on_uprobe, "uprobe:libc:malloc"),
      "program on_uprobe of", "is not loaded: its autoload was false")
    other:close()
    other = helper.open "probes"
    for _, program in ipairs(other.programs) do program.autoload = false end
    helper.contains(helper.refusal(other.attach, other), "autoload is false for all of them")
    other:close()
  end)

  it("refuses a mechanism that there is not", function()
    local ok, reason = pcall(object.attach, object, { first = { "tracepoint" }, mechanism = "magic" })
    assert.is_false(ok)
    assert.is_truthy(reason.message:find "no attach mechanism 'magic'")
  end)
end)

describe("attach that fails", function()
  helper.check_leaks(before_each, after_each)

  local function refusal(first)
    local object = helper.open "absent"
    local ok, reason = pcall(object.attach, object, { first = first })
    assert.is_false(ok)
    assert.are.equal("attach", reason.stage)
    assert.is_false(object.loaded)
    assert.are.equal(0, #object.probes)
    object:close()
    return reason
  end

  it("names the function that is not there, or says that there are no kprobes", function()
    local reason = refusal { { "tracepoint:syscalls:sys_enter_getpgid", "kprobe:luaprobe_no_such_function" } }
    assert.is_truthy(reason.message:find("absent.bpf.o: program function: kprobe:luaprobe_no_such_function: ", 1, true))
    local cause = helper.has_kprobes() and "no function luaprobe_no_such_function" or "no kprobes"
    assert.is_truthy(reason.message:find(cause, 1, true), reason.message)
    assert.are.equal(helper.has_kprobes() and "ENOENT" or "ENODEV", reason.code)
    assert.is_truthy(reason.hint)
  end)

  it("names the tracepoint that is not there", function()
    local reason = refusal { { "tracepoint:syscalls:sys_enter_getpgid",
      "tracepoint:syscalls:luaprobe_no_such_tracepoint" } }
    assert.is_truthy(reason.message:find("no such tracepoint", 1, true))
    assert.is_truthy(reason.hint:find("luaprobe list 'tracepoint:syscalls:*'", 1, true), reason.hint)
  end)

  it("names the tracepoint that may be meant", function()
    local object = helper.open "getpgid"
    local function hint(target) return helper.refusal(object.programs.enter.attach, object.programs.enter, target) end
    for _, program in ipairs(object.programs) do program:set_autoload(program.kind == "tracepoint") end
    object:load()
    helper.contains(hint "tracepoint:syscalls:sys_enter_getpgdi", "did you mean tracepoint:syscalls:sys_enter_getpgid")
    helper.contains(hint "tracepoint:luaprobe:nothing", "luaprobe list 'tracepoint:*'")
    object:close()
  end)

  it("says which program does not tell its target", function()
    local object = helper.open "absent"
    object:load()
    local ok, reason = pcall(object.programs.bare.attach, object.programs.bare)
    assert.is_false(ok)
    assert.is_truthy(reason.message:find("program bare: section 'kprobe'", 1, true))
    object:close()
  end)

  it("gives the first rung's reason when no rung works", function()
    local reason = refusal { "kprobe:luaprobe_no_such_function", "tracepoint:syscalls:luaprobe_no_such_tracepoint" }
    assert.is_truthy(reason.message:find("kprobe:luaprobe_no_such_function", 1, true))
  end)
end)

describe("load", function()
  helper.check_leaks(before_each, after_each)

  it("gives the verifier's last lines first, and keeps the rest", function()
    local object = helper.open "rejected"
    local ok, reason = pcall(object.load, object)
    assert.is_false(ok)
    assert.are.equal("load", reason.stage)
    assert.is_truthy(reason.message:find("^%S*rejected.bpf.o: the kernel refused program 'reads_anywhere': "),
      reason.message)
    assert.is_truthy(reason.message:find("R%d invalid mem access '%l+'"), reason.message)
    assert.is_truthy(reason.message:find "%(%d+ lines omitted%)")
    assert.is_nil(reason.message:find "\n")
    assert.is_truthy(#reason.log > 1000)
    object:close()
    local code = ("-e 'require[[luaprobe]].load[[%srejected.bpf.o]]'"):format(helper.fixtures)
    local out, err, status = helper.luaprobe_run("--traceback " .. code)
    assert.are.same({ "", 1 }, { out, status })
    assert.is_truthy(err:find("BEGIN PROG LOAD LOG", 1, true))
    assert.is_truthy(select(2, helper.luaprobe_run("-v " .. code)):find("BEGIN PROG LOAD LOG", 1, true))
    assert.is_truthy(select(2, helper.luaprobe_run("-v opensnoop -d 0.1")):find("libbpf: ", 1, true))
    err = select(2, helper.luaprobe_run(code))
    assert.is_true(#err < 600, err)
  end)

  it("of two objects that both say struct event lets both be read", function()
    local one, other = fixture(), helper.open("burst", { const = { only_pid = helper.pid } })
    one:attach { first = { "tracepoint:syscalls:sys_enter_getpgid" } }
    other:attach()
    getpgid_times(1)
    require("luaprobe.limits").set_duration(0.1)
    for event in one.maps.events:each() do assert.are.equal(helper.pid, tonumber(event.value)) end
    for event in other.maps.events:each() do assert.are.equal(0, tonumber(event.number)) end
    one:close()
    other:close()
  end)

  it("gives the kernel the constants, and Lua the kernel's memory", function()
    local settings = { a = 9, number = 258, name = "abc" }
    local object = helper.open("constants", { const = { u32 = 1000, settings = settings, only_pid = helper.pid } })
    object:attach()
    assert.is_false(pcall(function() object.const.u32 = 1 end))
    assert.are.equal(1000, object.const.u32)
    helper.getpgid(0)
    assert.are.equal(1003, object.data.counter)
    assert.are.equal(9, object.data.copy.a)
    assert.are.equal(6, object.data.copy.inner.x)
    assert.are.equal("abc", object.data.copy.name)
    -- CO-RE found the kernel's own struct task_struct.
    assert.are.equal(tonumber(helper.read("/proc/self/stat"):match "^%d+ %b() %a (%d+)"), object.data.parent)
    object:close()
  end)

  it("without a script that needs it costs nothing: an open object is not in the kernel", function()
    local before = helper.holdings()
    local object = fixture()
    assert.are.same(before.programs, helper.holdings().programs)
    object:close()
  end)
end)
