--- Maps of maps: their values are maps.
-- @module luaprobe.nested
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local takes = require "luaprobe.takes"

local M = {}

local uint32 = ffi.typeof "uint32_t *"

local ENOENT, EMFILE = -2, -24

-- Dropped maps keep their descriptors until they are collected, and the collector does not know how few there are.
local function with_descriptors(call, argument)
  local fd = call(argument)
  if fd ~= EMFILE then return fd end
  collectgarbage()
  return call(argument)
end

--- The codec of such a map's values: reads an inner map, and takes one.
function M.codec()
  -- nil when it was taken out of the map of maps meanwhile, and is gone.
  local function read(address)
    local fd = with_descriptors(C.lp_map_open_id, ffi.cast(uint32, address)[0])
    if fd == ENOENT then return nil end
    return require("luaprobe.map").adopt(err.check(fd))
  end
  local function encode(address, new, what)
    local fd = require("luaprobe.map").is(new) and new:descriptor() or nil
    if not fd then
      err.raise { code = "EINVAL", stage = "map", message = what .. " is not a map",
        hint = "give it one of the object's maps, or a new one: map:create()" }
    end
    ffi.cast(uint32, address)[0] = fd
  end
  return { view = read, copy = read, encode = encode, size = 4, name = "map" }
end

-- What the kernel compares of an inner map, and how it is told.
local COMPARED = {
  { "key_size", "keys of %d bytes" }, { "value_size", "values of %d bytes" }, { "flags", "flags 0x%x" },
  { "max_entries", "%d entries", "array" }, -- a hash may be as large as it likes
}

-- A map in the words in which it differs from another.
local function differences(kind, info, other)
  local parts = {}
  for _, each in ipairs(COMPARED) do
    local member, words, only_of = unpack(each)
    local counts = only_of == nil or only_of == kind
    if counts and info[member] ~= other[member] then parts[#parts + 1] = words:format(info[member]) end
  end
  return #parts > 0 and " with " .. table.concat(parts, ", ") or ""
end

--- Tells why the kernel refused an inner map: it takes those that are like its template.
-- @param map the map of maps
-- @param inner the map that it did not take
-- @raise error of stage "map"
function M.refuse(map, inner)
  local template = map.inner
  local reason = "it takes maps that are like its template"
  if template then
    local has, wants = ffi.new("struct lp_map", inner:info()), ffi.new("struct lp_map", template:info())
    local kind = template.kind
    reason = ("it takes a %s%s, and map %s is a %s%s"):format(kind, differences(kind, wants, has),
      inner.name, inner.kind, differences(kind, has, wants))
  end
  err.raise { code = "EINVAL", stage = "map", message = ("map %s: %s"):format(map.name, reason),
    hint = template and ("obj.maps.%s:create() makes one that fits"):format(map.name) or nil }
end

--- Changes a template before load. libbpf cannot: it has a map made like it take its place when the object is loaded.
-- @param template a luaprobe.map
-- @tparam cdata to struct lp_map_change
function M.change(template, to)
  if to.pin ~= nil or to.inner_fd >= 0 then
    err.misuse("map %s: a template has neither pin nor inner", template.name)
  end
  local info = template.own_info
  if to.max_entries > 0 then info.max_entries = to.max_entries end
  if to.value_size > 0 then info.value_size, info.value_type = to.value_size, 0 end
  template.is_changed = true
end

--- Before load: makes what stands for changed templates.
-- @param object the luaprobe.object
-- @treturn {number,…} descriptors to close after load
-- @raise error of stage "map"
function M.make_templates(object)
  local made = {}
  for _, map in ipairs(object.maps) do
    local template = map:template()
    if template and template.is_changed then
      local to = ffi.new "struct lp_map_change"
      to.inner_fd = err.check(C.lp_map_create(template.own_info))
      made[#made + 1] = to.inner_fd
      err.check(C.lp_object_change_map(object.handle, map.index, to))
    end
  end
  return made
end

--- The codec of a program array's values: takes programs, gives their numbers.
function M.program_codec()
  local function read(address) return ffi.cast(uint32, address)[0] end
  local function encode(address, new, what)
    if type(new) ~= "table" or type(new.program_descriptor) ~= "function" then
      err.raise { code = "EINVAL", stage = "map", message = what .. " is not a program: give it obj.programs.NAME" }
    end
    ffi.cast(uint32, address)[0] = new:program_descriptor()
  end
  return { view = read, copy = read, encode = encode, size = 4, name = "program" }
end

--- A new, empty map of the kind that the map takes: what its template says.
-- @param map the map of maps, loaded
-- @raise error of stage "map"
function M.create(map)
  takes.map_method(map, "create")
  local template = map.inner
  if not template then err.misuse("map %s has no template of what it holds", map.name) end
  local info = template:info()
  local fd = err.check(with_descriptors(C.lp_map_create, info))
  return require("luaprobe.map").adopt(fd, map.types, info.key_type, info.value_type)
end

return M
