--- A BPF map: of an object, or alone (pinned, or inside of another map).
--
-- Properties: `name`; `kind` ("hash", "percpu_array", "ringbuf", …); `type`, its number; `max_entries`, `key_size`,
-- `value_size`, `flags`; `key_type` and `value_type`, for an object that does not tell them ("uint64_t", "struct NAME",
-- an FFI type), which count from the next call on; `pin`, where it is pinned; `inner`, the template of a map of maps;
-- `full_errors`, updates that failed because it was full, where the program counts them. Before load `max_entries`,
-- `value_size` and `inner` can be set, and `pin` at any time: a path from the root pins it there, false takes the pin
-- away. Its calls depend on its kind: luaprobe.entries, luaprobe.queue, luaprobe.storage, luaprobe.sender; `each` for
-- events, whose buffers have settings: `bytes` or `pages` of each CPU's, `buffer` ("ring" or "perf"), `overwrite`, as
-- long as they can still have an effect.
-- @module luaprobe.map
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local event_map = require "luaprobe.event_map"
local events = require "luaprobe.events"
local map_kinds = require "luaprobe.map_kinds"
local properties = require "luaprobe.map_properties"
local takes = require "luaprobe.takes"

local Map = {}

-- `map.lost`: events that found a buffer full, of all CPUs.
local function lost(self)
  local stream = rawget(self, "open_stream")
  return stream and stream:lost() or rawget(self, "final_lost") or 0
end

local raw_map = ffi.new "struct lp_map"

-- Where a map's description comes from: its object, the template of another map, or the kernel.
local sources = {}

function sources.object(self)
  C.lp_object_map(self.object.handle, self.index, raw_map)
  -- libbpf forgets the types of maps that the kernel takes without them (queues, maps of maps).
  raw_map.key_type, raw_map.value_type = self.key_type_id, self.value_type_id
end

-- Templates too: libbpf forgets them when it has made the maps.
function sources.own(self)
  ffi.copy(raw_map, self.own_info, ffi.sizeof(raw_map))
end

sources.alone, sources.template = sources.own, sources.own

--- What C knows of the map now; valid until the next call for any map.
function Map:info()
  takes.map_method(self, "info")
  self.object:check_open()
  sources[self.source](self)
  return raw_map
end

--- Its descriptor.
-- @raise a misuse when it is not loaded
function Map:descriptor()
  takes.map_method(self, "descriptor")
  local descriptor = self:info().fd
  if descriptor < 0 then
    err.misuse("object %s is not loaded: its map %s is not there yet", self.object.name, self.name)
  end
  return descriptor
end

--- Changes it before load: struct lp_map_change.
function Map:change(to)
  self.object:check_open()
  if self.source == "alone" or self.object.loaded then
    err.misuse("map %s is in the kernel already: it can only be changed before load", self.name)
  end
  if self.source == "template" then return require("luaprobe.nested").change(self, to) end
  err.check(C.lp_object_change_map(self.object.handle, self.index, to))
end

--- The open stream of the map's events.
-- @tparam[opt] table opts see each
function Map:stream(opts)
  takes.map_method(self, "stream")
  return event_map.stream(self, takes.options("map:stream", opts, { pages = true, bytes = true }))
end

--- Iterates over the events: `for event, size, cpu, late in map:each() do … end`.
--
-- `event` is a pointer into the buffer's own memory, valid until the loop's body ends: keep `lp.copy(event)`. Its
-- members are those of its type; besides, unless the type has such members, `event.size` is the record's size in bytes
-- and `event.tail` the array without a length at its end as a string, of a char array up to its NUL. A perf buffer pads
-- records: there up to 7 more bytes than the program sent. `size` is the same as `event.size`; `cpu` is where it
-- happened, -1 where a ring buffer does not tell; `late` is true when it came out of order in spite of order = "time".
--
-- Events of one CPU come in order. The loop ends at Ctrl-C, SIGTERM, after `lp.cli`'s -d SECONDS, or when the reader of
-- standard output is gone.
-- @tparam[opt] table opts `type`: "struct NAME" or an FFI type, where the object does not tell; `max_delay`: seconds an
--   event may wait (0.1); `timeout`: ends the loop when nothing came for so many seconds; `order = "time"`: events of
--   all CPUs by the time in them (`time = "MEMBER"`: where it is, 64 bits of CLOCK_MONOTONIC as bpf_ktime_get_ns gives
--   it; found by itself when called time, ts, timestamp, …), each held back for up to max_delay; `pages` (a power of
--   two) or `bytes` (rounded up): at least so large a buffer per CPU. Buffers that are there already cannot grow: set
--   obj.maps.NAME.bytes before load. obj.maps.NAME.buffer = "ring" or "perf" before load chooses the kind
-- @raise error of stage "events", or of stage "output" when standard output cannot be written
function Map:each(opts)
  takes.map_method(self, "each")
  return event_map.reader(self, opts, "map:each"):iterate()
end

--- Waits for events and gives what is there to a function: `while map:poll(1, fn) do … end`.
-- @tparam number timeout seconds to wait at most; 0 takes what is there
-- @tparam function fn gets what each gives; an error in it is passed on
-- @tparam[opt] table opts as each has them, but timeout
-- @treturn number|nil how many events; nil once Ctrl-C, SIGTERM or the end of -d SECONDS asks to stop
function Map:poll(timeout, fn, opts)
  takes.map_method(self, "poll")
  return require("luaprobe.loop").poll(self, timeout, fn, opts)
end

--- The last events before now, of a map whose buffers overwrite (a flight recorder): set
-- `obj.maps.NAME.overwrite = true` before load; `pages` or `bytes` say how much each CPU remembers. They stay in the
-- buffers. For each CPU recording stops for a moment, mostly 0.05 ms; what comes then is lost.
-- @tparam[opt] table opts `type`, `time` as each has them
-- @treturn {cdata,…} copies of the events; by their time where they have one, otherwise CPU after CPU
-- @treturn {number,…} the CPU of each
function Map:snapshot(opts)
  takes.map_method(self, "snapshot")
  return event_map.snapshot(self, opts)
end

--- Closes the event buffers; `lost` stays.
function Map:close_stream()
  takes.map_method(self, "close_stream")
  if not self.open_stream then return end
  self.open_stream:close()
  self.object.streams[self.open_stream] = nil
  self.final_lost, self.open_stream = self.open_stream:lost(), nil
end

function Map:__tostring()
  return ("map %s (%s, %d entries)"):format(self.name, self.kind, self.object.handle and self.max_entries or 0)
end

--- Gives up what was opened to reach its entries; its object is being closed.
function Map:forget()
  for _, name in ipairs { "access", "draining", "sender", "known_id" } do rawset(self, name, nil) end
end

--- What a person wants to know of it, as text.
function Map:describe()
  takes.map_method(self, "describe")
  return require("luaprobe.describe").map(self)
end

-- ---- what each kind of map can do ----------------------------------------------------------------------------------

local METHODS = {
  entries = function(kind) return require("luaprobe.entries").methods_of(kind) end,
  queue = function() return require("luaprobe.queue").queue end,
  bloom = function() return require("luaprobe.queue").bloom end,
  storage = function() return require "luaprobe.storage" end,
  sender = function() return require "luaprobe.sender" end,
  counts = function() return require "luaprobe.counts" end,
  events = function() return {} end,
  opaque = function() return {} end,
}

-- All that some map can do, to tell a call that this one cannot take from a misspelled one.
local CALLS = {}
for name in ("get set has delete items keys values clear drain update_if top push pop peek send stack create")
  :gmatch "%S+" do
  CALLS[name] = true
end

local function cannot(self, call)
  return function() err.misuse("map %s is a %s: it has no %s", self.name, self.kind, call) end
end

local function extended(kind, methods)
  local all = {}
  for name, method in pairs(methods) do all[name] = method end
  if kind.holds_maps then all.create = require("luaprobe.nested").create end
  if kind.name == "stack_trace" then all.stack = require("luaprobe.stack").of end
  return all
end

-- What Tab offers, besides methods.
local PROPERTIES = { "name", "kind", "type", "max_entries", "key_size", "value_size", "flags", "pin" }

local function names_of(kind)
  local names = { unpack(PROPERTIES) }
  for name, method in pairs(Map) do
    if type(method) == "function" and not name:find "^__" then names[#names + 1] = name end
  end
  for name in pairs(extended(kind, METHODS[kind.module](kind))) do
    if CALLS[name] then names[#names + 1] = name end
  end
  if kind.module == "events" then names[#names + 1] = "lost" end
  return names
end

local metatables = {} -- by kind, made when a map of it is first used

-- The module of a kind is only loaded when something of it is called: most runs have just events.
local function metatable_of(kind)
  if metatables[kind] then return metatables[kind] end
  local methods
  local metatable = { __tostring = Map.__tostring, __newindex = properties.write,
    __names = function() return names_of(kind) end }
  function metatable.__index(self, key)
    if Map[key] then return Map[key] end
    if CALLS[key] then
      methods = methods or extended(kind, METHODS[kind.module](kind))
      return methods[key] or cannot(self, key)
    end
    if key == "lost" then return lost(self) end
    return properties.read(self, key)
  end
  metatables[kind] = metatable
  return metatable
end

local M = {}

local function new(fields, kind, type)
  fields.type, fields.kind, fields.kind_of = type, kind.name, kind
  fields.given = {} -- what scripts set that only the library looks at (luaprobe.map_properties)
  return setmetatable(fields, metatable_of(kind))
end

--- Whether a value is a map.
function M.is(any)
  local metatable = type(any) == "table" and getmetatable(any)
  return metatable and metatable.__newindex == properties.write or false
end

-- Whether LP_COUNTS declared it: then it has this variable.
local function is_pair(object, name)
  return object.types:has_variable("lp_zero_of_" .. name)
end

--- All maps of an object: an array in the order of the file, and by name.
function M.all(object)
  local maps = {}
  while C.lp_object_map(object.handle, #maps, raw_map) do
    local name = ffi.string(raw_map.name)
    local map = new({
      object = object,
      source = "object",
      index = #maps,
      types = object.types,
      name = name,
      key_type_id = raw_map.key_type,
      value_type_id = raw_map.value_type,
      datasec = raw_map.datasec ~= nil and ffi.string(raw_map.datasec) or nil,
    }, is_pair(object, name) and map_kinds.counts or map_kinds.of(raw_map.type), raw_map.type)
    maps[#maps + 1] = map
    maps[map.name] = map
  end
  return maps
end

--- The template of a map of maps, which can be changed before load; nil when it has none.
function Map:template()
  takes.map_method(self, "template")
  local known = rawget(self, "known_template")
  if known then return known end
  if self.source ~= "object" or not C.lp_object_inner_map(self.object.handle, self.index, raw_map) then return nil end
  known = new({ object = self.object, source = "template", types = self.types, name = self.name .. ".inner",
    own_info = ffi.new("struct lp_map", raw_map), is_changed = false }, map_kinds.of(raw_map.type), raw_map.type)
  rawset(self, "known_template", known)
  return known
end

-- What stands in the place of the object of a map that has none.
local Alone = {}
Alone.__index = Alone

function Alone:check_open()
  if not self.handle then err.misuse("map %s is closed", self.name) end
end

local function close_descriptor(handle)
  C.lp_fd_close(handle[0])
end

--- A map that is only known by its descriptor, which it takes over.
-- @tparam number fd
-- @param[opt] of_object types to read it with; those that the kernel has of it when missing
-- @tparam[opt] number key_type
-- @tparam[opt] number value_type BTF ids in these
function M.adopt(fd, of_object, key_type, value_type)
  local streams = {}
  local handle = events.own(ffi.new("int[1]", fd), streams, close_descriptor)
  local info, name = require("luaprobe.access").describe(fd)
  if name == "" then name = "without a name" end -- as messages have it: the kernel knows one made by create so
  local own = ffi.new("struct lp_map", info)
  if of_object then own.key_type, own.value_type = key_type, value_type end
  local types = of_object
  if not types then
    local btf = C.lp_map_btf(fd)
    types = require("luaprobe.types").new(btf ~= nil and ffi.gc(btf, C.lp_btf_free) or nil)
  end
  local object = setmetatable({ handle = handle, name = name, loaded = true, streams = streams }, Alone)
  return new({ object = object, source = "alone", own_info = own, types = types, name = name },
    map_kinds.of(own.type), own.type)
end

--- Closes a map that is alone; one of an object is closed with that. Calling it again does nothing.
function Map:close()
  takes.map_method(self, "close")
  if self.source ~= "alone" or not self.object.handle then return end
  self:close_stream()
  self:forget()
  close_descriptor(ffi.gc(self.object.handle, nil))
  self.object.handle = nil
end

--- Opens a map that was pinned, by whomever; it is read with the types that it was made with.
-- @tparam string path
-- @raise error of stage "map"
function M.open(path)
  if not err.is_path(path) then err.misuse("a pinned map is opened by its path, not by a %s", type(path)) end
  local ok, result = pcall(M.adopt, err.check(C.lp_map_open_pinned(path)))
  if ok then return result end
  if err.is(result) then result.message = ("%s: %s"):format(path, result.message) end
  error(result, 0)
end

--- Takes a pin away. Whoever has the map open keeps it.
-- @raise error of stage "map"
function M.unpin(path)
  if not err.is_path(path) then err.misuse("a pin is a path, not a %s", type(path)) end
  err.check(C.lp_map_unpin(path))
end

return M
