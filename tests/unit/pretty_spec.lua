-- Values as text and as tables: what Lua has of its own; structs of BPF are in tests/native/kinds_spec.lua.
local ffi = require "ffi"
local helper = require "helper"
local lp = require "luaprobe"
local pretty = require "luaprobe.pretty"

local refusal, contains = helper.refusal, helper.contains

describe("pretty", function()
  it("shows integers with all their digits", function()
    for text, number in pairs {
      ["100000000000000"] = 1e14, ["-1000000000000003"] = -1e15 - 3, ["9007199254740991"] = 2 ^ 53 - 1,
      ["1152921504606846976"] = 2 ^ 60, ["18446744073709551615"] = 0xffffffffffffffffULL, ["-5"] = -5LL,
      ["0.5"] = 0.5, ["1e+300"] = 1e300,
    } do assert.are.equal(text, pretty.text(number)) end
    assert.are.equal("{ [123456789012345] = 1 }", pretty.text { [123456789012345] = 1 })
  end)

  it("shows tables that are in themselves, FFI types and NULL", function()
    local list = { 1 }
    list[2] = list
    assert.are.equal("{ 1, { itself } }", pretty.text(list))
    assert.are.equal("{ ctype<int> }", pretty.text { ffi.typeof "int" })
    assert.are.equal("NULL", pretty.text(ffi.new "void *"))
  end)

  it("takes a depth, and nothing else", function()
    assert.are.equal("{ { … } }", pretty.text({ { { 1 } } }, { depth = 1 }))
    for _, wrong in ipairs { 5, "x", true } do
      contains(refusal(function() lp.pretty(1, wrong) end), "pretty_spec.lua:", "takes a table of options, not a ")
    end
    for _, wrong in ipairs { -1, "x", 0 / 0 } do
      contains(refusal(lp.pretty, 1, { depth = wrong }), "depth is a number from 0 on")
    end
    contains(refusal(lp.pretty, 1, { dept = 1 }), "no option 'dept'", "depth")
  end)
end)

describe("totable", function()
  it("copies tables, those that are in themselves too", function()
    local inner = { 1, 2 }
    local list = { first = inner, second = inner }
    list.itself = list
    local copy = lp.totable(list)
    assert.are_not.equal(list, copy)
    assert.are_not.equal(inner, copy.first)
    assert.are.same({ 1, 2 }, copy.first)
    assert.are.equal(copy.first, copy.second)
    assert.are.equal(copy, copy.itself)
  end)

  it("takes FFI's arrays apart and leaves what is whole", function()
    assert.are.same({ { 1, 2 }, { 3, 4 } }, lp.totable(ffi.new("int[2][2]", { { 1, 2 }, { 3, 4 } })))
    assert.are.equal("abc", lp.totable(ffi.new("char[8]", "abc")))
    assert.are.equal(5, lp.totable(5LL))
    local type = ffi.typeof "int[2]"
    assert.are.equal(type, lp.totable(type))
  end)

  it("of a description of types ends", function()
    local object = helper.open "constants"
    local copy = lp.totable(object.types["struct settings"])
    assert.are.equal(28, copy.size)
    object:close()
  end)
end)

describe("a message", function()
  it("has only the ends of a path that nobody would read", function()
    local path = "/begin/" .. ("x/"):rep(1900) .. "end.bpf.o"
    for _, call in ipairs {
      function() lp.open(path) end, function() lp.open("/begin/" .. ("x"):rep(9000)) end,
      function() lp.open_map(path) end, function() lp.unpin(path) end,
    } do
      local text = refusal(call)
      assert.is_true(#text < 1500, #text)
      contains(text, "/begin/", "…")
    end
    contains(refusal(lp.open, path), "x/end.bpf.o: No such file")
  end)
end)
