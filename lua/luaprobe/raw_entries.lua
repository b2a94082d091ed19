--- The entries of a one-liner's map, as memory: no Lua value per entry is made that is not asked for.
-- @module luaprobe.raw_entries
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"

local M = {}

local raw_map = ffi.new "struct lp_map"
local batch = ffi.new "struct lp_batch"

--- Calls a function for each entry with the addresses of its key and value, `uint8_t *`, valid during the call.
-- @param object a loaded luaprobe.object
-- @tparam string name the map's
-- @tparam function fn
-- @treturn number how many CPUs a value is for, one after the other
-- @treturn number how many bytes lie between them
-- @raise error of stage "map"
function M.each(object, name, fn)
  C.lp_object_map(object.handle, object.maps[name].index, raw_map)
  local cpus = C.lp_map_cpus(raw_map.type)
  local key_size, stride = raw_map.key_size, C.lp_map_stride(raw_map.type, raw_map.value_size)
  local walk = ffi.gc(err.check(C.lp_walk_open(raw_map.fd, raw_map, false)), C.lp_walk_close)
  while err.check(C.lp_walk_next(walk, batch)) > 0 do
    for i = 0, batch.count - 1 do
      fn(batch.keys + i * key_size, batch.values + i * (stride * cpus), cpus, stride)
    end
  end
  C.lp_walk_close(ffi.gc(walk, nil))
end

--- Looks one entry up.
-- @param key, value memory
-- @treturn boolean whether there is one
function M.lookup(object, name, key, value)
  C.lp_object_map(object.handle, object.maps[name].index, raw_map)
  return C.lp_map_lookup(raw_map.fd, key, value) == 0
end

return M
