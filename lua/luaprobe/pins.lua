--- Pins: maps in a BPF file system, where other processes find them and where they outlive this one.
--
-- A map whose `pin` is set before load is the one that is pinned there already, if it is of the same shape; otherwise
-- it is made and pinned. Those of LP_COUNTS are three: the map's, and its halves' with _0 and _1 behind.
-- @module luaprobe.pins
local C = require "luaprobe.cdef"
local access = require "luaprobe.access"
local err = require "luaprobe.error"
local ffi = require "ffi"
local layout = require "luaprobe.layout"
local map_kinds = require "luaprobe.map_kinds"
local types = require "luaprobe.types"

local M = {}

-- What the kernel compares when a map is used in place of another.
local ATTRIBUTES = { "type", "key_size", "value_size", "max_entries", "flags" }

local function shown(attribute, number)
  return attribute == "type" and map_kinds.of(number).name or tostring(number)
end

local function differences(wanted, pinned)
  local list = {}
  for _, attribute in ipairs(ATTRIBUTES) do
    -- libbpf fills in the number of CPUs where an object says 0.
    local is_open = attribute == "max_entries" and wanted[attribute] == 0
    if wanted[attribute] ~= pinned[attribute] and not is_open then
      list[#list + 1] = ("%s is %s there and %s here"):format(attribute, shown(attribute, pinned[attribute]),
        shown(attribute, wanted[attribute]))
    end
  end
  return list
end

-- Keys and values of the same size can still mean something else.
local function type_differences(map, fd)
  local btf = C.lp_map_btf(fd)
  if btf == nil then return {} end
  local there = types.new(ffi.gc(btf, C.lp_btf_free))
  local pinned, list = ffi.new("struct lp_map", (access.describe(fd))), {}
  for what, ids in pairs {
    key = { map:info().key_type, pinned.key_type }, value = { map:info().value_type, pinned.value_type },
  } do
    if ids[1] ~= 0 and ids[2] ~= 0 and layout.signature(map.types, ids[1]) ~= layout.signature(there, ids[2]) then
      list[#list + 1] = ("its %s is another type there: %s"):format(what, there:declaration(ids[2]))
    end
  end
  return list
end

local function check_place(object, map, path)
  if C.lp_path_is_bpffs(path) then return end
  err.raise { code = "EINVAL", stage = "load",
    message = ("%s: map %s cannot be pinned at %s, which is not in a BPF file system"):format(object.name, map.name,
      path),
    hint = "mostly that is /sys/fs/bpf: sudo mount -t bpf bpf /sys/fs/bpf" }
end

local function check(object, map, path)
  check_place(object, map, path)
  local fd = C.lp_map_open_pinned(path)
  if fd < 0 then return end -- nothing there, or not to be read: libbpf says so when it loads
  local wanted = {}
  for _, attribute in ipairs(ATTRIBUTES) do wanted[attribute] = map:info()[attribute] end
  local ok, pinned = pcall(access.describe, fd)
  local list = ok and differences(wanted, pinned) or { "it is no map" }
  if ok and #list == 0 then list = type_differences(map, fd) end
  C.lp_fd_close(fd)
  if #list == 0 then return end
  err.raise { code = "EINVAL", stage = "load",
    message = ("%s: map %s cannot be the one pinned at %s: %s"):format(object.name, map.name, path,
      table.concat(list, ", ")),
    hint = ('take the pin away if nobody needs it (lp.unpin "%s"), or choose another path'):format(path) }
end

--- Refuses maps whose pins are of another shape.
-- @raise error of stage "load" that tells the differences
function M.check(object)
  for _, map in ipairs(object.maps) do
    local path = map.pin
    if path then check(object, map, path) end
  end
end

--- Sets the pin of each map of an object, but of its variables, to its name in a directory.
function M.set_directory(object, directory)
  if not err.is_path(directory) or directory:sub(1, 1) ~= "/" then
    err.misuse("pin is a directory in a BPF file system, as a path from the root")
  end
  for _, map in ipairs(object.maps) do
    if not map.datasec then map.pin = directory .. "/" .. map.name end
  end
end

--- Pins a loaded map, or takes its pin away.
-- @tparam string|boolean path from the root; false takes it away
-- @raise error of stage "map"
function M.change(map, path)
  local now = map.pin
  if path == "" then
    if now then err.check(C.lp_map_unpin(now)) end
    return rawset(map, "pinned_at", false)
  end
  if now then err.misuse("map %s is pinned at %s already: set pin = false first", map.name, now) end
  if C.lp_map_pin(map:descriptor(), path) ~= 0 then
    local failure = err.last()
    failure.message = ("map %s: %s"):format(map.name, failure.message)
    err.raise(failure)
  end
  rawset(map, "pinned_at", path)
end

--- Where a map is, or will be, pinned; nil.
function M.path_of(map)
  local pinned_at = rawget(map, "pinned_at")
  if pinned_at ~= nil then return pinned_at or nil end
  local pin = map:info().pin
  return pin ~= nil and ffi.string(pin) or nil
end

return M
