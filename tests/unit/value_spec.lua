-- Values between Lua and an object's memory: constants before load, so no privileges are needed.
local helper = require "helper"

describe("a constant", function()
  local object
  before_each(function() object = helper.open "constants" end)
  after_each(function() object:close() end)

  local function refused(name, value, ...)
    local before = object.const[name]
    local ok, reason = pcall(function() object.const[name] = value end)
    assert.is_false(ok)
    assert.are.equal("open", reason.stage)
    for _, part in ipairs { name, ... } do assert.is_truthy(reason.message:find(part, 1, true), reason.message) end
    assert.are.same(before, object.const[name])
  end

  it("has the object's value at first", function()
    assert.are.equal(0, object.const.u8)
    assert.are.equal(-2, object.const.s16)
    assert.are.equal(7, object.const.u32)
    assert.is_false(object.const.flag)
    assert.are.equal(2, object.const.color)
    assert.are.equal("first", object.const.word)
    assert.are.same({ 1, 2, 3, 4 }, object.const.list)
    assert.are.equal(5, object.const.settings.a)
    assert.are.same({ -1, 0, 1 }, object.const.settings.inner.y)
    assert.are.equal(5, object.const.settings.low)
    assert.are.equal(17, object.const.settings.high)
    assert.is_nil(object.const.absent)
  end)

  it("is a number where a double holds it exactly, and 64-bit cdata otherwise", function()
    assert.are.equal("18446744073709551615ULL", tostring(object.const.u64))
    object.const.u64 = 2 ^ 53 - 1
    assert.are.equal(9007199254740991, object.const.u64)
    object.const.u64 = 0x8000000000000001ULL
    assert.are.equal("9223372036854775809ULL", tostring(object.const.u64))
    object.const.s64 = -5
    assert.are.equal(-5, object.const.s64)
    object.const.s64 = -9007199254740993LL
    assert.are.equal("-9007199254740993LL", tostring(object.const.s64))
  end)

  it("takes what fits", function()
    for name, values in pairs {
      u8 = { 0, 255 }, s16 = { -32768, 32767 }, u32 = { 0, 4294967295 }, flag = { true, false },
      color = { 1, -3 }, word = { "", "seven77" },
    } do
      for _, value in ipairs(values) do
        object.const[name] = value
        assert.are.equal(value, object.const[name])
      end
    end
  end)

  it("takes an enumerator by name", function()
    object.const.color = "BLUE"
    assert.are.equal(-3, object.const.color)
    refused("color", "PURPLE", "PURPLE", "enum color")
  end)

  it("takes a table for a struct, and leaves what it does not name", function()
    object.const.settings = { a = 9, inner = { y = { 7 } }, number = 258, low = 7, name = "abc" }
    local settings = object.const.settings
    assert.are.equal(9, settings.a)
    assert.are.equal(6, settings.inner.x)
    assert.are.same({ 7, 0, 1 }, settings.inner.y)
    assert.are.same({ 2, 1, 0, 0 }, settings.bytes)
    assert.are.equal(7, settings.low)
    assert.are.equal(17, settings.high)
    assert.are.equal("abc", settings.name)
  end)

  it("refuses what does not fit, says where, and stays as it was", function()
    refused("u8", 256, "0 to 255")
    refused("u8", -1)
    refused("u8", 1.5, "whole")
    refused("u8", 0 / 0)
    refused("u8", "1", "string")
    refused("u8", {}, "table")
    refused("s16", 32768, "-32768 to 32767")
    refused("u64", -1)
    refused("u64", 2 ^ 60)
    refused("flag", 1, "boolean")
    refused("word", "eight888", "char[8]", "holds 7")
    refused("word", "a\0b", "NUL")
    refused("word", 5)
    refused("list", { 1, 2, 3, 4, 5 }, "5 elements")
    refused("list", { 1, "x" }, "list[2]")
    refused("settings", { a = 1, b = 2 }, "settings.b", "no such member")
    refused("settings", { a = 77, inner = { x = 70000 } }, "settings.inner.x")
    refused("settings", { low = 8 }, "settings.low")
    refused("settings", 5, "table")
  end)

  it("of 64 bits takes no other sign, and no number that is not exactly what was written", function()
    refused("u64", -1LL, "negative")
    refused("s64", 0x8000000000000000ULL, "9223372036854775807LL")
    refused("s64", 2 ^ 53 + 2, "LL")
    refused("u64", 2 ^ 53 + 2, "ULL")
    object.const.s64 = 9007199254740994LL
    assert.are.equal("9007199254740994LL", tostring(object.const.s64))
  end)

  it("of a float takes what a float holds", function()
    refused("single", 1e300, "3.4e38")
    object.const.single = -1.5
    assert.are.equal(-1.5, object.const.single)
    object.const.single = math.huge
    assert.are.equal(math.huge, object.const.single)
  end)

  it("that is an array takes the elements that are named, and no others", function()
    refused("list", { x = 1 }, "list[x]", "1 to 4")
    refused("list", { [0] = 1 }, "list[0]")
    refused("list", { [5] = 1 }, "list[5]")
    refused("list", { [1.5] = 1 }, "list[1.5]")
    object.const.list = { [3] = 9 }
    assert.are.same({ 1, 2, 9, 4 }, object.const.list)
    object.const.list = { 4, nil, 6 }
    assert.are.same({ 4, 2, 6, 4 }, object.const.list)
  end)

  it("is named once in a message", function()
    local _, reason = pcall(function() object.const.u8 = 256 end)
    assert.are.equal(1, select(2, reason.message:gsub("u8", "")), reason.message)
  end)

  it("must exist", function()
    local ok, reason = pcall(function() object.const.absent = 1 end)
    assert.is_false(ok)
    assert.is_truthy(reason.message:find("no such constant", 1, true))
    assert.is_truthy(reason.message:find("settings", 1, true), "the constants it has are named")
    assert.is_false(pcall(function() object.const.counter = 1 end), "variables are not constants")
  end)
end)

describe("a global variable", function()
  it("has an initial value that can be set before load", function()
    local object = helper.open "constants"
    assert.are.equal(3, object.data.counter)
    object.data.counter = 4
    assert.are.equal(4, object.data.counter)
    assert.are.equal(0, object.data.copy.a)
    object:close()
    assert.is_false(pcall(function() return object.data.counter end))
  end)
end)
