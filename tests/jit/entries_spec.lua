-- Loops over maps and reads of variables must be compiled: they run millions of times.
local helper = require "helper"
local loops = require "jit_loops"
local tonumber, error = tonumber, error -- busted's globals are behind functions of its own

if not helper.is_root() then
  describe("the JIT", function() pending "needs root" end)
  return
end

describe("the JIT compiles", function()
  local object
  local function fill()
    object.maps.entries:set(1, { count = 1 })
    local value = object.maps.entries:get(1)
    for key = 1, 20000 do
      value.count = key
      object.maps.entries:set(key, value)
    end
  end
  before_each(function()
    object = helper.open("table", { maps = { entries = { max_entries = 20000 } } })
    object:load()
    fill()
  end)
  after_each(function() object:close() end)

  it("a loop over a map's entries", function()
    local sum
    local function body()
      sum = 0
      for key, value in object.maps.entries:items() do sum = sum + key + tonumber(value.count) end
    end
    loops.assert_compiled(body)
    assert.are.equal(20000 * 20001, sum)
  end)

  it("a loop over a map's values, and one that drains", function()
    local sum
    loops.assert_compiled(function()
      sum = 0
      for value in object.maps.entries:values() do sum = sum + tonumber(value.count) end
    end)
    assert.are.equal(20000 * 20001 / 2, sum)
    loops.assert_compiled(function()
      sum = 0
      for _, value in object.maps.entries:drain() do sum = sum + tonumber(value.count) end
    end, fill)
    assert.are.equal(20000 * 20001 / 2, sum)
  end)

  it("get and set in a loop", function()
    local map, value = object.maps.entries, object.maps.entries:get(1)
    loops.assert_compiled(function()
      for key = 1, 2000 do
        local found = map:get(key)
        if found.count ~= key then error "wrong" end
      end
    end)
    loops.assert_compiled(function()
      for key = 1, 2000 do map:set(key, value) end
    end)
  end)

  it("a read of a variable", function()
    local data, sum = object.data, 0
    loops.assert_compiled(function()
      for _ = 1, 100000 do sum = sum + data.counter end
    end)
  end)
end)
