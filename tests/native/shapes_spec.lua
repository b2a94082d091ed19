-- Layouts at the edge of what FFI can declare, and values that must not be cut, mixed up or half written.
local ffi = require "ffi"
local helper = require "helper"
local lp = require "luaprobe"

if not helper.is_root() then
  describe("shapes", function() pending "needs root" end)
  return
end

local refusal, contains = helper.refusal, helper.contains

describe("values", function()
  local before, object, maps
  before_each(function()
    before = helper.holdings()
    object = helper.open "shapes"
    object:load()
    maps = object.maps
  end)
  after_each(function()
    object:close()
    helper.assert_nothing_left(before)
  end)

  it("of a struct whose array without a length begins in its padding are as large as the kernel has them", function()
    assert.are.equal(7, object.programs.fill:test_run().result)
    for name, offset in pairs { padded = 10, padded_text = 12 } do
      local type = object.types["struct " .. name]
      local fields = object.types:fields(type)
      assert.are.equal(16, ffi.sizeof(object.types:ctype(type.id)))
      assert.are.equal(offset, (fields.words or fields.text).offset)
    end
    local words = maps.padded:get(0)
    assert.are.same({ 1, 3, 10, 20, 65535 },
      { tonumber(words.time), words.length, words.words[0], words.words[1], words.words[2] })
    words.words[1] = 21
    maps.padded:set(1, words)
    assert.are.equal(21, maps.padded:get(1).words[1])
    assert.are.equal("abcd", ffi.string(maps.padded_texts:get(0).text, 4))
    local count = 0
    for key, value in maps.padded:items() do -- steps as long as the kernel's
      count = count + 1
      assert.are.equal(key == 1 and 21 or 20, value.words[1])
    end
    assert.are.equal(2, count)
    contains(refusal(maps.padded.set, maps.padded, 0, { words = { 1 } }), "value.words", "do not fit into 0")
    contains(refusal(function() words.words = {} end), "words of struct padded is an array")
  end)

  it("of wide bit-fields keep sign and digits", function()
    object.programs.fill:test_run()
    local wide, nine = maps.wides:get(0), maps.nines:get(0)
    assert.are.equal(-2 ^ 49, wide.fifty)
    assert.are.equal(-4, wide.small)
    assert.are.equal("-1000000000000000007LL", tostring(wide.shifted))
    assert.are.equal(-1, tonumber(wide.whole))
    assert.are.same({ 5, "-1000000000000000007LL", "4611686018427387905ULL" },
      { nine.first, tostring(nine.across), tostring(nine.last) })
    contains(tostring(wide), "shifted = -1000000000000000007,")
    nine.across, wide.fifty = -2, 2 ^ 49 - 1
    assert.are.same({ 5, -2, "4611686018427387905ULL", -4 },
      { nine.first, nine.across, tostring(nine.last), wide.small })
    maps.wides:set(0, { shifted = -0x1000000000000000LL, fifty = -5, small = 3 })
    wide = lp.totable(maps.wides:get(0))
    assert.are.same({ "-1152921504606846976LL", -5, 3, 0 },
      { tostring(wide.shifted), wide.fifty, wide.small, wide.whole })
    local function refused(value, ...) contains(refusal(maps.wides.set, maps.wides, 0, value), ...) end
    refused({ fifty = 2 ^ 49 }, "value.fifty", "-562949953421312 to 562949953421311")
    refused({ fifty = -562949953421313LL }, "value.fifty", "50 bits with a sign")
    refused({ shifted = 0x1000000000000000LL }, "value.shifted", "61 bits with a sign")
    contains(refusal(maps.nines.set, maps.nines, 0, { last = -1 }), "0 to 9223372036854775807")
    contains(refusal(function() wide = maps.wides:get(0) wide.fifty = "5" end), "fifty of struct wide is a number")
  end)

  it("of types that another object has by the same names are its own", function()
    local other = helper.open "maps"
    other:load()
    local structs = other.maps.structs
    maps.values:set(1, { count = 1, state = "BUSY", pair = { 1, 2 }, name = "a" })
    structs:set({ pid = 1 }, { count = 1, state = "BUSY", pair = { 1, 2 }, name = "a" })
    contains(tostring(maps.values:get(1)), "state = BUSY (7)")
    contains(tostring(structs:get { pid = 1 }), "state = BUSY (1)")
    maps.values:set(1, { state = "IDLE" })
    assert.are.same({ -2, 1 }, { maps.values:get(1).state, structs:get({ pid = 1 }).state })
    contains(refusal(structs.set, structs, { pid = 2 }, maps.values:get(1)), "map structs: value")
    assert.are.same({ 7, 1 }, { object.types["enum state"].values.BUSY, other.types["enum state"].values.BUSY })
    other:close()
    contains(tostring(maps.values:get(1)), "state = IDLE (-2)")
  end)

  it("of variables are written where they are named, those of entries as a whole", function()
    object.data.partly = { count = 9 }
    assert.are.same({ count = 9, state = -2, pair = { 3, 4 }, name = "five" }, object.data.partly)
    object.data.partly = { pair = { [2] = 77 }, state = "BUSY" }
    assert.are.same({ count = 9, state = 7, pair = { 3, 77 }, name = "five" }, object.data.partly)
    refusal(function() object.data.partly = { count = 10, name = "much too long" } end)
    assert.are.equal(9, object.data.partly.count)
    maps.values:set(1, { count = 1, name = "one" })
    maps.values:set(1, { count = 2 }) -- as the kernel's update does: what a hash key's value was is no part of it
    assert.are.same({ count = 2, state = 0, pair = { 0, 0 }, name = "" }, lp.totable(maps.values:get(1)))
    local value = maps.values:get(1)
    value.state = 7
    maps.values:set(1, value)
    assert.are.same({ count = 2, state = 7, pair = { 0, 0 }, name = "" }, lp.totable(maps.values:get(1)))
  end)

  it("of arrays of arrays are read, written and refused by element", function()
    assert.are.same({ { 1, 2, 3 }, { 4, 5, 6 } }, object.data.matrix)
    object.data.matrix = { [2] = { [3] = 99 } }
    object.data.matrix[2][3] = 5 -- a copy's
    assert.are.same({ { 1, 2, 3 }, { 4, 5, 99 } }, object.data.matrix)
    local function refused(value, ...) contains(refusal(function() object.data.matrix = value end), ...) end
    refused({ [3] = { 1 } }, "matrix[3]", "1 to 2")
    refused({ { 1, 2, 3, 4 } }, "matrix[1]", "4 elements do not fit into 3")
    refused({ { [0] = 1 } }, "matrix[1][0]")
    refused({ {}, { 65536 } }, "matrix[2][1]", "0 to 65535")
    refused({ 1, 2 }, "matrix[1]", "not a table")
    maps.matrices:set(0, { { 1, 2, 3 }, { 4, 5, 6 } })
    local matrix = maps.matrices:get(0)
    assert.are.equal(6, matrix[1][2])
    matrix[0][1] = 77
    maps.matrices:set(0, matrix)
    assert.are.same({ { 1, 77, 3 }, { 4, 5, 6 } }, lp.totable(maps.matrices:get(0)))
    maps.grids:set(0, { grid = { {}, { {}, {}, { x = -5, y = { 1, 2 } } } }, numbers = { { {}, {}, { 5, 6 } } } })
    local grid = maps.grids:get(0)
    assert.are.same({ -5, 2, 6 }, { grid.grid[1][2].x, grid.grid[1][2].y[1], grid.numbers[0][2][1] })
    contains(tostring(grid), "\n  grid = {\n    { { x = 0, y = { 0, 0 } },",
      "\n  numbers = { { { 0, 0 }, { 0, 0 }, { 5, 6 } },")
    contains(refusal(maps.grids.set, maps.grids, 0, { numbers = { {}, { {}, {}, {}, {} } } }), "value.numbers[2]")
  end)

  it("of FFI's own types are taken where they fit, and never cut", function()
    local values = maps.values
    local function refused(key, value, ...) contains(refusal(values.set, values, key, value), ...) end
    values:set(ffi.new("uint8_t", 5), { count = ffi.new("int32_t", 3), pair = { ffi.new("uint32_t", 7), 8LL } })
    assert.are.same({ 3, 7, 8 }, (function(value)
      return { tonumber(value.count), value.pair[0], value.pair[1] }
    end)(values:get(5ULL)))
    refused(2 ^ 32 + 1ULL, {}, "map values: key", "32 bits")
    refused(ffi.new("double", 1.5), {}, "map values: key", "whole number")
    refused(ffi.new("uint32_t[1]", 5), {}, "map values: key", "not a number")
    refused(1, { pair = { ffi.new("uint32_t", 70000) } }, "value.pair[1]", "-32768 to 32767")
    refused(1, { pair = { 70000LL } }, "value.pair[1]", "16 bits")
    refused(1, { pair = ffi.new "int16_t[3]" }, "value.pair")
    refused(1, { count = ffi.new("int32_t", -1) }, "value.count", "0 to 18446744073709551615")
    assert.is_nil(values:get(1))
    values:set(5, { name = "abc", pair = { 1, 2 } })
    values:set(6, { name = values:get(5).name, pair = values:get(5).pair })
    assert.are.same(lp.totable(values:get(5)), lp.totable(values:get(6)))
  end)

  it("that are NULL pointers are no structs", function()
    assert.are.equal("NULL", tostring(maps.links:get(0).next):match "NULL")
    contains(tostring(maps.links:get(0)), "next = NULL")
    local null = ffi.cast(object.types:pointer(object.types["struct value"].id), nil)
    assert.are.same({ "NULL", "-" }, { tostring(null), lp.text(null) })
    assert.is_true(lp.totable(null) == nil)
    contains(refusal(maps.values.set, maps.values, 1, null), "the value is nil")
    contains(refusal(function() object.data.partly = null end), "partly")
  end)

  it("of all CPUs are summed with their sign and fraction", function()
    local cpus = require("luaprobe.cdef").lp_map_cpus(6)
    local function sum(map, ...)
      local list = { ... }
      for cpu = #list + 1, cpus do list[cpu] = 0 end
      map:set(0, { unpack(list, 1, cpus) })
      return map:get(0):sum()
    end
    assert.are.equal(-5, sum(maps.signed_of_cpus, -5))
    assert.are.equal("-9007199254740993LL", tostring(sum(maps.signed_of_cpus, -9007199254740993LL)))
    assert.are.equal(-0.25, sum(maps.doubles_of_cpus, -0.25))
    assert.are.equal(1e300, sum(maps.doubles_of_cpus, 1e300))
    if cpus > 1 then
      assert.are.equal(-2, sum(maps.signed_of_cpus, -5, 3))
      assert.are.equal("-9007199254740992LL", tostring(sum(maps.signed_of_cpus, -2 ^ 52, -2 ^ 52)))
      assert.are.equal(2 ^ 64, sum(maps.doubles_of_cpus, 2 ^ 63, 2 ^ 63))
      assert.are.equal(1e300, sum(maps.doubles_of_cpus, 2 ^ 52, 1e300))
    end
  end)

  it("are ordered by a field", function()
    local values = maps.values
    values:set(1, { count = 5, state = "BUSY" })
    values:set(2, { count = 2 ^ 40, state = "BUSY" })
    values:set(3, { count = 7, state = "IDLE" })
    local function keys(...)
      local list = {}
      for i, entry in ipairs(values:top(...)) do list[i] = entry.key end
      return list
    end
    assert.are.same({ 2, 3 }, keys(2, "count"))
    assert.are.equal(3, keys(3, "state")[3])
    assert.are.same({ 1 }, keys(1, function(key) return -key end))
    assert.are.equal(2 ^ 40, tonumber(values:top(1, "count")[1].value.count))
    for _, by in ipairs { "nothing", 5, function() return "x" end } do
      contains(refusal(values.top, values, 3, by), "map values: top needs a number")
    end
    contains(refusal(values.top, values, 3), "name a field")
    for _, n in ipairs { 0, 1.5, "x", 0 / 0 } do contains(refusal(values.top, values, n, "count"), "whole number") end
  end)
end)

describe("the maps of variables", function()
  it("are as large as these", function()
    local object = helper.open "shapes"
    local count = 0
    for _, map in ipairs(object.maps) do
      for _, name in ipairs(map.datasec and { "value_size", "max_entries" } or {}) do
        for _, size in ipairs { 1, 4096, 65536 } do
          contains(refusal(function() map[name] = size end), "its size is that of its variables")
          count = count + 1
        end
      end
    end
    assert.are.equal(12, count) -- .data and .bss
    object:load()
    object.data.last = "at end"
    assert.are.equal("at end", object.data.last)
    object:close()
  end)
end)
