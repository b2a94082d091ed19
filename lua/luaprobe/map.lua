--- A BPF map of an object.
-- @module luaprobe.map
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local events = require "luaprobe.events"

local Map = {}

-- `map.lost`: events that found a buffer full, of all CPUs.
function Map.__index(self, key)
  if key ~= "lost" then return Map[key] end
  local stream = rawget(self, "open_stream")
  return stream and stream:lost() or rawget(self, "final_lost") or 0
end

local PERF_EVENT_ARRAY = 4 -- BPF_MAP_TYPE_PERF_EVENT_ARRAY

local raw_map = ffi.new "struct lp_map"

--- What C knows of the map now; valid until the next call for any map.
function Map:info()
  self.object:check_open()
  C.lp_object_map(self.object.handle, self.index, raw_map)
  return raw_map
end

-- The type of what is in the stream, from the pointer that LP_EVENTS left in the object's BTF.
local function declared_event_type(self)
  local types = self.object.types
  local section = types:find "datasec .luaprobe"
  for _, member in ipairs(section and section.members or {}) do
    if member.name == "lp_event_of_" .. self.name then return types:get(types:get(member.type_id).of) end
  end
end

local function named_event_type(self, name)
  local type = self.object.types:find(name)
  if not type then err.misuse("%s: the object has no type '%s'", self.object.name, tostring(name)) end
  return type
end

-- The type to give events, or a misuse that says how to name it.
local function event_type(self, name)
  local type = name and named_event_type(self, name) or declared_event_type(self)
  if not type then
    err.misuse('map %s of %s does not say what its events are: pass type = "struct NAME"', self.name, self.object.name)
  end
  return type
end

--- Whether attach opens the buffers by itself, so that no event between it and the loop is lost.
function Map:is_event_stream()
  return self.type == PERF_EVENT_ARRAY and declared_event_type(self) ~= nil
end

--- The open stream of the map's events.
-- @tparam[opt] table opts see each
function Map:stream(opts)
  opts = opts or {}
  if self.type ~= PERF_EVENT_ARRAY then err.misuse("map %s of %s has no events", self.name, self.object.name) end
  if not self.open_stream then
    local descriptor = self:info().fd
    if descriptor < 0 then
      err.misuse("object %s is not loaded: its map %s has no events yet", self.object.name, self.name)
    end
    self.open_stream = events.open(descriptor, self.name, opts.pages or self.pages, function()
      return self.object.data["lp_lost_of_" .. self.name] or 0
    end)
  elseif opts.pages and opts.pages ~= self.open_stream.pages then
    err.misuse("the buffers of map %s are open since attach, with %d pages: set obj.maps.%s.pages before it",
      self.name, self.open_stream.pages, self.name)
  end
  return self.open_stream
end

--- Iterates over the events: `for event, size, cpu in map:each() do … end`.
--
-- `event` is a pointer into the buffer's own memory, valid until the loop's body ends; `size` is the record's size in
-- bytes, as the kernel padded it; `cpu` is where it happened. Events of one CPU come in order. The loop ends at Ctrl-C,
-- SIGTERM, after `lp.cli`'s -d SECONDS, or when the reader of standard output is gone.
-- @tparam[opt] table opts `type`: "struct NAME", where LP_EVENTS did not declare it; `pages`: the size of each CPU's
--   buffer, a power of two (256, or what obj.maps.NAME.pages says); `max_delay`: seconds an event may wait (0.05)
-- @raise error of stage "events", or of stage "output" when standard output cannot be written
function Map:each(opts)
  opts = opts or {}
  self.object:check_open()
  local type = event_type(self, opts.type)
  return self:stream(opts):each(self.object.types, type, opts.max_delay)
end

--- Closes the event buffers; `lost` stays.
function Map:close_stream()
  if not self.open_stream then return end
  self.open_stream:close()
  self.final_lost, self.open_stream = self.open_stream:lost(), nil
end

function Map:__tostring()
  return ("map %s (type %d, %d entries)"):format(self.name, self.type, self.max_entries)
end

local M = {}

--- All maps of an object: an array in the order of the file, and by name.
function M.all(object)
  local maps = {}
  while C.lp_object_map(object.handle, #maps, raw_map) do
    local map = setmetatable({
      object = object,
      index = #maps,
      name = ffi.string(raw_map.name),
      type = raw_map.type,
      key_size = raw_map.key_size,
      value_size = raw_map.value_size,
      max_entries = raw_map.max_entries,
      datasec = raw_map.datasec ~= nil and ffi.string(raw_map.datasec) or nil,
    }, Map)
    maps[#maps + 1] = map
    maps[map.name] = map
  end
  return maps
end

return M
