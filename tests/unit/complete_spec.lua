-- What Tab offers at the prompt, and help and lookups that are asked for what there is not.
local ffi = require "ffi"
local helper = require "helper"
local complete = require "luaprobe.complete"
local lp = require "luaprobe"

ffi.cdef "struct completed { int first; struct { int inner; }; char last[4]; };"

local function names(line)
  local _, found = complete.line(line)
  return found or {}
end

local function set(list)
  local found = {}
  for _, name in ipairs(list) do found[name] = true end
  return found
end

describe("completion", function()
  setup(function()
    rawset(_G, "completed", { value = ffi.new "struct completed", pointer = ffi.new "struct completed *",
      object = helper.open "constants" })
  end)
  teardown(function()
    _G.completed.object:close()
    rawset(_G, "completed", nil)
  end)

  it("knows the members of FFI's own structs, through pointers and anonymous members", function()
    assert.are.same({ "first", "inner", "last" }, names "completed.value.")
    assert.are.same({ "first", "inner", "last" }, names "completed.pointer.")
    assert.are.equal("st", (complete.line "completed.value.la"))
  end)

  it("knows the variables of an object", function()
    local found = set(names "completed.object.data.")
    assert.is_true(found.counter and found.parent and not found.u32)
    assert.is_true(set(names "completed.object.const.").u32)
  end)

  it("tells what a map can do, and behind a colon nothing else", function()
    local all, calls = set(names "completed.object.maps.events."), set(names "completed.object.maps.events:")
    assert.is_true(all.each and all.poll and all.lost and all.max_entries)
    assert.is_true(calls.each and calls.poll and not calls.max_entries)
    assert.is_nil(all.key_type_id)
    assert.is_nil(all.get)
  end)

  it("knows an object's types by name", function()
    assert.are.same({ "struct event" }, names 'completed.object.types["struct ev')
    assert.are.same({ "find" }, names "completed.object.types.")
  end)

  it("knows the functions of a program or library", function()
    local callee = "uprobe:" .. helper.build .. "/tests/callee:"
    assert.are.same({ "callee", "callee_too" }, names('lp.count("' .. callee .. "calle"))
    assert.are.equal("e", (complete.line('lp.count("' .. callee .. "calle")))
    assert.is_true(set(names 'lp.trace("uretprobe:libc:mall').malloc)
  end)

  it("knows what can be counted by", function()
    if not helper.is_root() then return pending "needs root" end
    local found = set(names 'lp.count("tracepoint:sched:sched_switch", { by = "')
    assert.is_true(found.func and found.stack and found.comm and found.next_pid)
    assert.is_nil(set(names 'lp.trace("tracepoint:sched:sched_switch", "').func)
  end)
end)

describe("what is no such thing", function()
  it("is said to be none", function()
    helper.contains(helper.refusal(lp.ksym, "x"), "lp.ksym takes an address, not a string")
    helper.contains(helper.refusal(lp.probes, 5), "lp.probes takes a pattern")
    helper.contains(helper.refusal(lp.hist, "x"), "lp.hist takes a list of slots")
    local code = 'help = require("luaprobe.help").show help(require("luaprobe").nope)'
    assert.are.equal("that is nil: there is no such thing\n", (helper.luaprobe_run("-e '" .. code .. "'")))
  end)
end)
