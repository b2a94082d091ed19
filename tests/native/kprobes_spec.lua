-- What only kernels with kprobes can show: places inside of functions, misses, and why a function is refused.
local ffi = require "ffi"
local helper = require "helper"

if not helper.is_root() or not helper.has_kprobes() then
  describe("kprobes", function() pending "needs root and a kernel with kprobes" end)
  return
end

local ksyms = require "luaprobe.ksyms"
local machine = require "luaprobe.machine"
local traceable = require "luaprobe.traceable"
local tracefs = require "luaprobe.tracefs"

local SYS_OPENAT = jit.arch == "x64" and 257 or 56

local function openat(count)
  for _ = 1, count do
    ffi.C.syscall(SYS_OPENAT, ffi.cast("int", 12345), ffi.cast("const char *", "/nonexistent"), ffi.cast("int", 0),
      ffi.cast("int", 0))
  end
end

-- How many functions of a name somebody traces by ftrace.
local function enabled(name)
  local count = 0
  for line in tracefs.read "enabled_functions":gmatch "[^\n]+" do
    if line:match "^%S+" == name then count = count + 1 end
  end
  return count
end

local function open(program)
  local object = helper.open("probes", { const = { only_pid = helper.pid } })
  for _, other in ipairs(object.programs) do other:set_autoload(other.name == program) end
  object:load()
  return object, object.programs[program]
end

local function calls(object, kind)
  return tonumber(object.data[kind .. "_seen"].calls)
end

-- The name of a function of which this kernel has one variant alone, which ftrace can trace.
local function only_variant()
  for _, variant in ipairs(traceable.find "*.constprop.0") do
    local name = variant:match "^([%w_]+)%.constprop%.0$"
    if name and #ksyms.find(name) == 0 and #ksyms.find(name .. ".*") == 1 then return name end
  end
end

describe("a kprobe", function()
  require("luaprobe.cdef").lp_stats_enable() -- which keeps a descriptor as long as the process lives
  helper.check_leaks(before_each, after_each)

  local function counts(target, mechanism)
    local object, program = open "on_kprobe"
    local probe = program:attach { target = target, mechanism = mechanism }
    openat(20)
    assert.are.equal(20, calls(object, "kprobe"))
    object:close()
    return probe
  end

  for _, mechanism in ipairs { "auto", "perf", "legacy" } do
    it("goes to an address, by " .. mechanism, function()
      local address = ksyms.find("do_sys_openat2")[1].address
      counts(("kprobe:0x%s"):format(bit.tohex(address, 16)), mechanism)
    end)

    it("goes to an instruction inside of a function, by " .. mechanism, function()
      -- The first instruction is 5 bytes long (the call to ftrace) or 4 (endbr64): one of both is a boundary.
      local object, program = open "on_kprobe"
      local attached = 0
      for _, offset in ipairs { 4, 5 } do
        local ok, result = pcall(program.attach, program,
          { target = "kprobe:do_sys_openat2+" .. offset, mechanism = mechanism })
        if ok then
          attached = attached + 1
          result:detach()
        else
          assert.are.equal("EILSEQ", result.code)
          assert.is_truthy(result.message:find("not the start of an instruction", 1, true))
        end
      end
      assert.is_true(attached >= 1)
      object:close()
    end)
  end

  it("of a program for many functions works on every kernel, by its section alone", function()
    local object, program = open "on_multi" -- SEC("kprobe.multi/do_sys_openat*")
    local probe = program:attach()
    openat(20)
    assert.are.equal(20, calls(object, "multi"))
    probe:detach()
    openat(5)
    assert.are.equal(20, calls(object, "multi"))
    object:close()
  end)

  it("of a wildcard goes to every function of a name, where several have it", function()
    local count = #traceable.by_ftrace "s_nex*"
    assert.is_true(count > 1)
    for _, mechanism in ipairs { "perf", "legacy" } do
      local object, program = open "on_kprobe"
      local probe = program:attach { kprobe = "s_nex*", mechanism = mechanism }
      assert.are.equal(count, probe.functions)
      object:close()
    end
  end)

  it("of a wildcard by multi goes to them too, and says so where it cannot", function()
    local count = #traceable.by_ftrace "type_sho*"
    assert.is_true(count > 1)
    local object, program = open "on_kprobe"
    for _, given in ipairs { "kprobe:type_sho*", { kprobe = "type_sho*", mechanism = "multi" } } do
      local ok, probe = pcall(program.attach, program, given)
      if ok then
        assert.are.equal(count, probe.functions)
        if probe.mechanism == "multi" then assert.are.equal(count, enabled "type_show") end
        probe:detach()
      else
        assert.are.equal("EOPNOTSUPP", probe.code)
        assert.is_true(given.mechanism == "multi" and helper.kernel_version() < 6005)
        helper.contains(tostring(probe), machine.has_multi "kprobe:type_sho*" and "several functions share a name"
          or "this kernel has no mechanism multi")
      end
    end
    object:close()
  end)

  it("of patterns that overlap goes to each function once", function()
    for _, mechanism in ipairs { "auto", "perf", "legacy" } do
      local object, program = open "on_kprobe"
      local probe = program:attach { kprobe = { "do_sys_openat*", "do_sys_o*" }, mechanism = mechanism }
      openat(20)
      assert.are.equal(20, calls(object, "kprobe"))
      assert.are.equal(#traceable.find "do_sys_o*", probe.functions)
      object:close()
    end
  end)

  it("of many says how far it is, and leaves nothing behind when it is interrupted", function()
    for _, mechanism in ipairs { "perf", "legacy" } do
      local job = helper.start(("%s -e '\
        local object = require \"luaprobe\".open(\"%sprobes.bpf.o\")\
        for _, program in ipairs(object.programs) do program:set_autoload(program.name == \"on_kprobe\") end\
        object:load()\
        object.programs.on_kprobe:attach { kprobe = \"s*\", mechanism = \"%s\" }'"):format(
        helper.luaprobe, helper.fixtures, mechanism))
      assert.is_true(helper.eventually(20, function() return job.err():find "\n" end))
      assert.is_truthy(job.err():find "luaprobe: attaching kprobe:s%*: %d+ of %d+\n", job.err())
      job.signal(2)
      local out, err, status = job.wait()
      assert.are.same({ "", 1 }, { out, status })
      assert.is_truthy(err:find("interrupted after %d+ of %d+; nothing stays attached"), err)
      assert.is_nil(helper.holdings().tracefs:find ":luaprobe/")
    end
  end)

  it("at an address of nothing is told so", function()
    for _, kind in ipairs { "kprobe", "kretprobe" } do
      local object, program = open("on_" .. kind)
      for _, mechanism in ipairs { "auto", "perf", "legacy" } do
        for _, address in ipairs { "0x1", "0xdead", "0xffff888000000000", "0xffffffffffffffff" } do
          local reason = helper.refusal(program.attach, program, { [kind] = address, mechanism = mechanism })
          helper.contains(reason, kind .. ":" .. address .. ": no function of this kernel is at this address")
        end
      end
      object:close()
    end
  end)

  -- A function that there is only as the compiler changed it, on the kernels that the guests run.
  it("goes to what the compiler made of a function, by every mechanism", function()
    local name = only_variant()
    if not name then return pending "this kernel has none" end
    for _, mechanism in ipairs { "auto", "link", "perf", "legacy", "multi" } do
      for _, kind in ipairs { "kprobe", "kretprobe" } do
        local out, err, status = helper.luaprobe_run(("-e '\
          local object = require \"luaprobe\".open(\"%sprobes.bpf.o\")\
          for _, program in ipairs(object.programs) do program:set_autoload(program.name == \"on_%s\") end\
          object:load()\
          print(object.programs.on_%s:attach { %s = \"%s\", mechanism = \"%s\" }.functions)'"):format(
          helper.fixtures, kind, kind, kind, name, mechanism))
        if not err:find "has no mechanism" then
          assert.are.same({ "1\n", 0 }, { out, status }, err)
          helper.contains(err, ("luaprobe: %s:%s: this kernel has it as %s."):format(kind, name, name))
        end
      end
    end
  end)

  for _, mechanism in ipairs { "link", "perf", "legacy" } do
    it("at the return of a function that sleeps never claims to have missed none, by " .. mechanism, function()
      local version = helper.kernel_version()
      if mechanism == "link" and version < 5015 then return pending "this kernel has no link" end
      local object, program = open "on_kretprobe"
      local probe = program:attach { kretprobe = "hrtimer_nanosleep", mechanism = mechanism, stats = true,
        maxactive = mechanism == "legacy" and 10 or nil }
      helper.run "for i in $(seq 40); do sleep 1 & done; wait"
      local is_told = mechanism == "legacy" or mechanism == "link" and version >= 6007
      if is_told then
        assert.is_true(probe.hits + probe.missed >= 40, probe.missed)
        assert.is_true(probe.missed > 0)
      else
        assert.is_nil(probe.missed)
      end
      probe:detach()
      assert.are.equal(is_told, probe.missed ~= nil)
      object:close()
    end)
  end

  it("counts 100,000 calls right, and tells its misses", function()
    for _, mechanism in ipairs { "auto", "legacy" } do
      local object, program = open "on_kprobe"
      local probe = program:attach { kprobe = "do_sys_openat2", mechanism = mechanism }
      openat(100000)
      assert.are.equal(100000, calls(object, "kprobe"))
      object:detach()
      assert.is_true(probe.hits >= 100000) -- other processes open files too
      -- Before Linux 6.7 only legacy tells.
      assert.is_true((probe.missed or mechanism == "auto" and helper.kernel_version() < 6007 and 0 or -1) >= 0)
      object:close()
    end
  end)
end)

describe("a kretprobe", function()
  helper.check_leaks(before_each, after_each)

  -- Sleepers stay inside of the function, so that there are more calls under way than maxactive allows.
  local function sleepers(count)
    local jobs = {}
    for i = 1, count do jobs[i] = helper.start "sleep 2" end
    return jobs
  end

  it("with a small maxactive misses calls, and tells how many", function()
    local object, program = open "on_kretprobe"
    local probe = program:attach { kretprobe = "hrtimer_nanosleep", maxactive = 1 }
    assert.are.equal("legacy", probe.mechanism)
    for _, job in ipairs(sleepers(5)) do job.wait() end
    probe:detach()
    object:close()
    assert.is_true(probe.missed >= 3, tostring(probe.missed))
  end)

  it("takes maxactive for a wildcard too", function()
    local object, program = open "on_kretprobe"
    local probe = program:attach { kretprobe = "vfs_f*", maxactive = 7 }
    assert.are.equal("legacy", probe.mechanism)
    assert.is_true(probe.functions > 1)
    assert.is_truthy(helper.holdings().tracefs:find "r7:luaprobe/")
    object:close()
  end)

  it("takes maxactive only by the mechanism that has it", function()
    local object, program = open "on_kretprobe"
    local ok, reason = pcall(program.attach, program,
      { kretprobe = "do_sys_openat2", maxactive = 10, mechanism = "perf" })
    assert.is_false(ok)
    assert.is_truthy(reason.message:find "legacy")
    object:close()
  end)
end)

describe("the doctor", function()
  helper.check_leaks(before_each, after_each)

  local function refusal(target, mechanism)
    local object, program = open(target:find "^kretprobe" and "on_kretprobe" or "on_kprobe")
    local ok, reason = pcall(program.attach, program, { target = target, mechanism = mechanism })
    object:close()
    assert.is_false(ok, target)
    assert.are.equal("attach", reason.stage)
    assert.is_truthy(reason.hint, reason.message)
    return reason
  end

  local function find(text, reason)
    assert.is_truthy((reason.message .. "\n" .. reason.hint):find(text, 1, true), tostring(reason))
  end

  for _, mechanism in ipairs { "auto", "legacy" } do
    it("names the nearest functions, by " .. mechanism, function()
      find("did you mean do_sys_openat2", refusal("kprobe:do_sys_opnat2", mechanism))
    end)

    it("knows the blacklist, by " .. mechanism, function()
      local name = next(traceable.blacklist())
      assert.is_truthy(name)
      find("blacklist", refusal("kprobe:kprobe_dispatcher", mechanism))
    end)

    it("knows modules that are not loaded, by " .. mechanism, function()
      find("sudo modprobe nosuchmod", refusal("kprobe:nosuchmod:nosuch_function", mechanism))
    end)

    it("tells of an offset past the end, by " .. mechanism, function()
      find("past its end", refusal("kprobe:do_sys_openat2+0x100000", mechanism))
    end)
  end

  it("says that a return has no offset", function()
    local object, program = open "on_kretprobe"
    local ok, reason = pcall(program.attach, program, "kretprobe:do_sys_openat2+4")
    object:close()
    assert.is_false(ok)
    assert.is_truthy(tostring(reason):find "no offset")
  end)
end)
