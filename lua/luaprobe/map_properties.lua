--- What maps have beside calls: sizes and names to read, and some to set before load.
-- @module luaprobe.map_properties
local ffi = require "ffi"
local err = require "luaprobe.error"
local event_map = require "luaprobe.event_map"
local value_of = require "luaprobe.value"

local M = {}

local function positive(map, name, given)
  local value = value_of.integer(given) -- 64-bit cdata are as good
  if type(value) ~= "number" or value < 1 or value > 4294967295 or value % 1 ~= 0 then
    err.misuse("map %s: %s is a whole number from 1 on, not %s", map.name, name, tostring(given))
  end
  return value
end

local function path(map, name, value)
  if value == false then return "" end
  if not err.is_path(value) or value:sub(1, 1) ~= "/" then
    err.misuse("map %s: %s is a path from the root in a BPF file system, or false", map.name, name)
  end
  return value
end

local function descriptor(map, _, value)
  if not require("luaprobe.map").is(value) then err.misuse("map %s: inner is a map that is loaded", map.name) end
  return value:descriptor()
end

-- Properties that the object takes before load: the member of struct lp_map_change, and how a value becomes it.
local CHANGES = {
  max_entries = { member = "max_entries", check = positive },
  value_size = { member = "value_size", check = positive },
  pin = { member = "pin", check = path },
  inner = { member = "inner_fd", check = descriptor },
}

-- Those that only the library looks at.
local NOTES = { open_stream = true, final_lost = true }

-- Those that say what keys and values are, where the object does not.
local TYPES = { key_type = true, value_type = true }

local READERS = {}

-- The two hashes of LP_COUNTS, which have the sizes of the whole.
local function halves(map)
  local maps = map.object.maps
  return { maps[map.name .. "_0"], maps[map.name .. "_1"] }
end

function READERS.max_entries(map) return map:info().max_entries end
function READERS.key_size(map) return map:info().key_size end
function READERS.value_size(map) return map:info().value_size end
function READERS.flags(map) return map:info().flags end

function READERS.pin(map)
  return require("luaprobe.pins").path_of(map)
end

--- The template of what a map of maps holds.
function READERS.inner(map)
  return map:template()
end

-- Failed updates that the object counts in a variable of this name: LP_HASH and lp_update of luaprobe.bpf.h do.
function READERS.full_errors(map)
  return map.object.data and map.object.data["lp_full_of_" .. map.name]
end

--- Reads a property; nil when there is none of that name.
function M.read(map, name)
  local reader = READERS[name]
  if reader and map.kind == "counts" and CHANGES[name] and name ~= "pin" then return reader(halves(map)[1]) end
  if reader then return reader(map) end
  return map.given[name]
end

local function change(map, name, value)
  local how = CHANGES[name]
  if map.datasec and (name == "value_size" or name == "max_entries") then
    err.misuse("map %s: its size is that of its variables", map.name)
  end
  local to = ffi.new "struct lp_map_change"
  to.inner_fd = -1
  local checked = how.check(map, name, value)
  if name == "pin" and map:info().fd >= 0 then return require("luaprobe.pins").change(map, checked) end
  to[how.member] = checked
  map:change(to)
end

local PARTS = { "_0", "_1", "" }

-- Pins the halves of LP_COUNTS beside it, or none of the three: an object that found only the whole at its pin would
-- read halves of its own.
local function pin_counts(map, value)
  local place = path(map, "pin", value)
  local done = {}
  for i, suffix in ipairs(PARTS) do
    local part = map.object.maps[map.name .. suffix]
    local ok, failure = pcall(change, part, "pin", place ~= "" and place .. suffix)
    if not ok then
      for _, before in ipairs(done) do change(before, "pin", false) end
      error(failure, 0)
    end
    done[i] = part
  end
end

-- A type that was given after the map was used counts from the next call on.
local function set_type(map, name, given)
  local is_type = type(given) == "string" or type(given) == "cdata" or require("luaprobe.types").is(given)
  if given ~= nil and not is_type then
    err.misuse('map %s: %s is a C type: "uint64_t", "struct NAME", an FFI type, or one of obj.types, not a %s',
      map.name, name, type(given))
  end
  rawset(map, "access", nil)
  map.given[name] = given
end

--- Sets a property.
-- @raise a misuse when the map has no such property, the value means nothing, or the map is loaded already
function M.write(map, name, value)
  if NOTES[name] then return rawset(map, name, value) end
  if TYPES[name] then return set_type(map, name, value) end
  if event_map.is_setting(name) then return event_map.set(map, name, value) end
  if CHANGES[name] and map.kind == "counts" then
    if name == "pin" then return pin_counts(map, value) end
    for _, half in ipairs(halves(map)) do half[name] = value end
    return
  end
  if not CHANGES[name] then
    err.misuse("map %s: '%s' cannot be set; max_entries, value_size, pin, inner, key_type and value_type can, of events"
      .. " also bytes, pages, buffer and overwrite", map.name, tostring(name))
  end
  change(map, name, value)
end

return M
