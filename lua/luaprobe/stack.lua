--- Stack traces: the addresses under an id of bpf_get_stackid.
-- @module luaprobe.stack
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local access = require "luaprobe.access"
local entries = require "luaprobe.entries"
local err = require "luaprobe.error"
local takes = require "luaprobe.takes"
local value = require "luaprobe.value"

local ENOENT = -2
local M = {}

--- The addresses of a stack, the innermost first.
-- @param map of kind stack_trace
-- @tparam number id what bpf_get_stackid gave; negative where the kernel had no stack to give
-- @treturn {number|cdata,…}|nil nil when there is no such stack (any more)
function M.of(map, id)
  takes.map_method(map, "stack")
  if type(id) ~= "number" or id % 1 ~= 0 or id >= 2 ^ 32 then
    err.misuse("map %s: the id of a stack is a whole number, not %s", map.name, tostring(id))
  end
  if id < 0 then return nil end
  local a = map.access or access.open(map)
  ffi.cast("uint32_t *", a.key_memory)[0] = id
  local code = C.lp_map_lookup(a.fd, a.key_memory, a.value_memory)
  if code ~= 0 then return code ~= ENOENT and entries.failed(map) or nil end
  local addresses, list = ffi.cast("uint64_t *", a.value_memory), {}
  for i = 0, a.value_bytes / 8 - 1 do
    if addresses[i] == 0 then break end
    list[i + 1] = value.integer(addresses[i])
  end
  return list
end

return M
