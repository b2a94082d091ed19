--- Maps of maps: their values are maps.
-- @module luaprobe.nested
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"

local M = {}

local uint32 = ffi.typeof "uint32_t *"

--- The codec of such a map's values: reads an inner map, and takes one.
function M.codec()
  local function read(address)
    local fd = err.check(C.lp_map_open_id(ffi.cast(uint32, address)[0]))
    return require("luaprobe.map").adopt(fd)
  end
  local function encode(address, new, what)
    local fd = type(new) == "table" and type(new.descriptor) == "function" and new:descriptor() or nil
    if not fd then
      err.raise { code = "EINVAL", stage = "map", message = what .. " is not a map",
        hint = "give it one of the object's maps, or a new one: map:create()" }
    end
    ffi.cast(uint32, address)[0] = fd
  end
  return { view = read, copy = read, encode = encode, size = 4, name = "map" }
end

--- A new, empty map of the kind that the map takes: what its template says.
-- @param map the map of maps, loaded
-- @raise error of stage "map"
function M.create(map)
  local template = map.inner
  if not template then err.misuse("map %s has no template of what it holds", map.name) end
  local info = template:info()
  local fd = err.check(C.lp_map_create(info))
  return require("luaprobe.map").adopt(fd, map.types, info.key_type, info.value_type)
end

return M
