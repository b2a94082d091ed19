-- Slips in what maps, objects, programs, probes and the loop are told: each is refused at the line that made it, in
-- words, and none is quietly taken for something else.
local ffi = require "ffi"
local helper = require "helper"
local lp = require "luaprobe"

if not helper.is_root() then
  describe("a slip", function() pending "needs root" end)
  return
end

local function nothing() end

local function slip(words, fn, ...)
  local told = helper.refusal(function(...) fn(...) end, ...)
  helper.contains(told, words, "_spec.lua:")
  assert.is_nil(told:find "attempt to" or told:find "bad argument" or told:find "lua/luaprobe/", told)
end

describe("a slip", function()
  local object
  local function open(name)
    object = helper.open(name)
    return object
  end
  local function assign(map, name, new)
    return function() map[name] = new end
  end
  after_each(function() object:close() end)
  helper.check_leaks(before_each, after_each)

  it("in the options of a call is told by their names", function()
    open("sample"):load()
    local events = object.maps.events
    for name, call in pairs {
      ["map:each"] = function(opts) events:each(opts) end,
      ["map:poll"] = function(opts) events:poll(0, nothing, opts) end,
      ["map:snapshot"] = function(opts) events:snapshot(opts) end,
      ["lp.on"] = function(opts) lp.on(events, nothing, opts) end,
      ["lp.every"] = function(opts) lp.every(1, nothing, opts) end,
      ["lp.after"] = function(opts) lp.after(1, nothing, opts) end,
      ["lp.run"] = lp.run,
    } do
      slip(name .. " takes a table of options, not 5", call, 5)
      slip(name .. " has no option 'bogus'", call, { bogus = 1 })
    end
    slip("lp.on has no option 'timeout'", lp.on, events, nothing, { timeout = 1 })
    slip("timeout is a number of seconds", lp.run, { timeout = "soon" })
    slip("lp.on takes a map", lp.on, object.programs[1], nothing)
    slip("how often is a number from 0 on", lp.missed, -5, "text")
    slip("how often is a number from 0 on, not \"x\"", lp.missed, "x", "text")
    slip("a number and a sentence", lp.missed, 1)
    slip("nanoseconds", lp.time_of_day, "x")
    slip("list of columns", lp.columns, 5)
    assert.are.equal(0, lp.stats().missed)
  end)

  it("of a dot for a colon is told for every method", function()
    open("maps"):load()
    local maps, key = object.maps, { pid = 1 }
    local calls = "get set has delete items keys values drain clear top describe close each poll snapshot"
    for name in calls:gmatch "%S+" do
      for _, self in ipairs { key, 5, "text", object } do slip("colon", maps.structs[name], self, key) end
      slip("colon", maps.structs[name])
    end
    for call, map in pairs { push = "queue", pop = "queue", peek = "queue", create = "tables", stack = "stacks" } do
      slip("colon", maps[map][call], 5)
    end
    for _, name in ipairs { "attach", "detach", "load", "close", "describe" } do slip("colon", object[name], 5) end
    for _, name in ipairs { "attach", "test_run", "describe", "info" } do slip("colon", object.programs[1][name], 5) end
    local probe = object.programs.enter:attach()
    for _, name in ipairs { "disable", "enable", "detach" } do slip("colon", probe[name], 5) end
  end)

  it("in a setting of event buffers is told when it is made", function()
    local events = open("sample").maps.events
    slip('buffer is "ring" or "perf"', assign(events, "buffer", "pipe"))
    slip("overwrite is true or false, not 5", assign(events, "overwrite", 5))
    slip("bytes is a whole number above 0", assign(events, "bytes", 0))
    slip("pages is a whole number above 0", assign(events, "pages", "2"))
    events.bytes = 8192
    events.bytes = nil -- the default again
    events.buffer = "ring"
    object:load()
    for name, new in pairs { buffer = "perf", bytes = 4096, pages = 4, overwrite = true } do
      slip(name .. " has no effect any more: set obj.maps.events." .. name .. " before load", assign(events, name, new))
    end
    object:close()
    events = open("sample").maps.events
    events.buffer = "perf"
    object:load()
    events.bytes = 8192 -- of a perf buffer until it is opened
    object:attach()
    slip("its buffers are open", assign(events, "bytes", 4096))
    object:close()
    open("maps")
    slip("it has no events, and no bytes", assign(object.maps.numbers, "bytes", 4096))
    slip("has no events", object.maps.numbers.snapshot, object.maps.numbers)
    object:close()
    open("foreign")
    slip("only LP_EVENTS leaves the kind of buffer open", assign(object.maps.perf, "buffer", "ring"))
  end)

  it("in a map's type is told, and a type given late counts", function()
    open("maps"):load()
    local map = object.maps.untyped
    for _, wrong in ipairs { 5, true, {}, nothing } do
      slip("value_type is a C type", assign(map, "value_type", wrong))
    end
    local size = map.value_size
    map:set(1, ("x"):rep(size))
    assert.are.equal(("x"):rep(size), map:get(1))
    map.value_type = ("uint8_t[%d]"):format(size)
    assert.are.equal(120, map:get(1)[size - 1])
    map.value_type, map.key_type = nil, nil
    local ok, told = pcall(map.get, map, "one")
    assert.is_true(not ok and tostring(told):find "map untyped: key: is a string, not a number" ~= nil, tostring(told))
    assert.are.equal(("x"):rep(size), map:get(1))
    map.value_type = ffi.typeof "struct { uint8_t one; }"
    slip("its value has " .. size .. " bytes", map.get, map, 1)
  end)

  it("in a type's name, or what entries are ordered by, is told", function()
    open("maps"):load()
    for _, wrong in ipairs { 5, {}, nothing } do
      slip("a type is given by its name", object.types.find, object.types, wrong)
    end
    slip("colon", object.types.find, "struct value")
    for _, wrong in ipairs { 5, {} } do
      slip("top needs a number", object.maps.numbers.top, object.maps.numbers, 1, wrong)
    end
  end)

  it("in a program's autoload is told", function()
    open "maps"
    for _, wrong in ipairs { 5, "no" } do
      slip("autoload is true or false", function() object.programs.enter.autoload = wrong end)
    end
    slip("autoload is true or false", function() object.programs.enter.autoload = nil end)
  end)
end)
