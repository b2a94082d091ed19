-- Types: BTF as descriptions and as FFI types of the same layout.
local ffi = require "ffi"
local helper = require "helper"

describe("the types of an object", function()
  local object
  setup(function() object = helper.open "constants" end)
  teardown(function() object:close() end)

  it("are found by their C name", function()
    assert.are.equal("settings", object.types:find("struct settings").name)
    assert.are.equal("enum", object.types:find("enum color").kind)
    assert.are.equal(object.types:find "struct settings", object.types["struct settings"])
    assert.is_nil(object.types["struct nothing"])
    assert.is_nil(object.types:find "struct nothing")
    assert.is_nil(object.types:find "union settings")
    assert.is_nil(object.types:find "")
  end)

  it("have the layout that clang gave them", function()
    local type = object.types:find "struct settings"
    local fields = object.types:fields(type)
    assert.are.equal(28, type.size)
    assert.are.equal(0, fields.a.offset)
    assert.are.equal(4, fields.inner.offset)
    assert.are.equal(12, fields.bytes.offset)
    assert.are.equal(16, fields.low.offset)
    assert.are.equal(16 * 8 + 3, fields.high.bit_offset)
    assert.are.equal(5, fields.high.bit_size)
    local ctype = object.types:ctype(type.id)
    assert.are.equal(28, ffi.sizeof(ctype))
    assert.are.equal(12, ffi.offsetof(ctype, "bytes"))
    assert.are.equal(17, ffi.offsetof(ctype, "name"))
  end)

  it("of numbers are found as the compiler spells them", function()
    assert.are.same({ "int", 4, true }, (function(type)
      return { type.kind, type.size, type.signed }
    end)(object.types["int"]))
    assert.are.equal(1, object.types["unsigned char"].size)
    assert.are.equal("float", object.types["float"].kind)
    assert.are.equal(object.types["unsigned int"].id, object.types["__u32"].id)
    assert.is_nil(object.types["no such int"])
    assert.is_nil(object.types["struct int"])
  end)

  it("know an enum's names both ways", function()
    local color = object.types:find "enum color"
    assert.are.equal(-3, color.values.BLUE)
    assert.are.equal("BLUE", color.names[-3])
    assert.is_true(color.signed)
  end)

  it("give the same FFI type each time", function()
    local id = object.types:find("struct event").id
    assert.are.equal(object.types:ctype(id), object.types:ctype(id))
  end)
end)

describe("two objects that both say struct event", function()
  it("each have their own", function()
    local one, other = helper.open "constants", helper.open "getpgid"
    local first = one.types:ctype(one.types:find("struct event").id)
    local second = other.types:ctype(other.types:find("struct event").id)
    assert.are_not.equal(first, second)
    assert.are.equal(0, ffi.offsetof(first, "parent"))
    assert.is_nil(ffi.offsetof(second, "parent"))
    assert.are.equal(8, ffi.offsetof(second, "pid"))
    assert.are.equal(16, ffi.sizeof(second))
    one:close()
    other:close()
  end)
end)
