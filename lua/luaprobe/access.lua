--- How the entries of one map are reached: its descriptor, the codecs of its key and value, and memory for one of each.
-- @module luaprobe.access
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local codec = require "luaprobe.codec"
local err = require "luaprobe.error"
local per_cpu = require "luaprobe.per_cpu"

local M = {}

local raw_map = ffi.new "struct lp_map"

-- The type that a user gave by `map.key_type = …`: of the object's types, or of FFI.
local function given_codec(map, given)
  if type(given) == "table" and given.types then return codec.of_type(given.types, given.id) end
  local known = type(given) == "string" and map.types:find(given)
  if known then return codec.of_type(map.types, known.id) end
  return codec.of_ctype(given)
end

local function check_size(map, what, found, size)
  if found.size == size then return found end
  err.misuse("map %s: its %s has %d bytes, and %s has %d", map.name, what, size, found.name, found.size)
end

-- The codec of the key or the value: as the user said, as BTF says, or plain bytes.
local function codec_of(map, what, given, type_id, size)
  if given ~= nil then return check_size(map, what, given_codec(map, given), size) end
  if type_id ~= 0 and not map.types.empty and map.types:get(type_id).size == size then
    return codec.of_type(map.types, type_id)
  end
  return codec.of_size(size)
end

local function key_codec(map, info)
  if map.kind_of.is_prefix and not map.key_type and (info.key_size == 8 or info.key_size == 20) then
    return codec.prefix(info.key_size)
  end
  return codec_of(map, "key", map.key_type, info.key_type, info.key_size)
end

local function value_codec(map, info)
  if map.kind_of.holds_maps then return require("luaprobe.nested").codec() end
  if map.kind == "prog_array" then return require("luaprobe.nested").program_codec() end
  return codec_of(map, "value", map.value_type, info.value_type, info.value_size)
end

--- Opens the access to a map that is in the kernel.
-- @param map a luaprobe.map
-- @treturn table `fd`, `info` (a struct lp_map of its own), `key` and `value` (codecs), `key_memory`, `value_memory`
-- @raise a misuse when the object is not loaded
function M.open(map)
  local info = ffi.new("struct lp_map", map:info())
  if info.fd < 0 then err.misuse("object %s is not loaded: its map %s is not there yet", map.object.name, map.name) end
  local self = { map = map, fd = info.fd, info = info }
  if info.key_size > 0 then self.key = key_codec(map, info) end
  self.value = value_codec(map, info)
  self.stride = C.lp_map_stride(info.type, info.value_size)
  self.cpus = C.lp_map_cpus(info.type)
  if C.lp_map_is_per_cpu(info.type) then self.value = per_cpu.codec(self.value, self.stride, self.cpus) end
  self.key_what, self.value_what = ("map %s: key"):format(map.name), ("map %s: value"):format(map.name)
  self.value_bytes = self.stride * self.cpus
  self.key_memory = ffi.new("uint8_t[?]", info.key_size + 8)
  self.value_memory = ffi.new("uint8_t[?]", self.value_bytes + 8)
  return self
end

--- The description of a map that only its descriptor tells.
-- @tparam number fd
-- @treturn cdata struct lp_map, valid until the next call
-- @treturn string the kernel's name of it
function M.describe(fd)
  local name = ffi.new "char[64]"
  err.check(C.lp_map_describe(fd, raw_map, name, ffi.sizeof(name)))
  return raw_map, ffi.string(name)
end

return M
