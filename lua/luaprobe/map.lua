--- A BPF map of an object.
-- @module luaprobe.map
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local event_map = require "luaprobe.event_map"

local Map = {}

-- `map.lost`: events that found a buffer full, of all CPUs.
function Map.__index(self, key)
  if key ~= "lost" then return Map[key] end
  local stream = rawget(self, "open_stream")
  return stream and stream:lost() or rawget(self, "final_lost") or 0
end

local raw_map = ffi.new "struct lp_map"

--- What C knows of the map now; valid until the next call for any map.
function Map:info()
  self.object:check_open()
  C.lp_object_map(self.object.handle, self.index, raw_map)
  return raw_map
end

--- Whether attach opens the buffers by itself, so that no event between it and the loop is lost.
function Map:is_event_stream()
  return event_map.is_declared(self)
end

--- The open stream of the map's events.
-- @tparam[opt] table opts see each
function Map:stream(opts)
  return event_map.stream(self, opts)
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
--   event may wait (0.05); `timeout`: ends the loop when nothing came for so many seconds; `order = "time"`: events of
--   all CPUs by the time in them (`time = "MEMBER"`: where it is, 64 bits of CLOCK_MONOTONIC as bpf_ktime_get_ns gives
--   it; found by itself when called time, ts, timestamp, …), each held back for up to max_delay; `pages` (a power of
--   two) or `bytes` (rounded up): at least so large a buffer per CPU. Buffers that are there already cannot grow: set
--   obj.maps.NAME.bytes before load. obj.maps.NAME.kind = "ring" or "perf" before load chooses the kind
-- @raise error of stage "events", or of stage "output" when standard output cannot be written
function Map:each(opts)
  local stream, layout
  stream, layout, opts = event_map.prepare(self, opts)
  return stream:each(layout, opts)
end

--- Waits for events and gives what is there to a function: `while map:poll(1, fn) do … end`.
-- @tparam number timeout seconds to wait at most; 0 takes what is there
-- @tparam function fn gets what each gives; an error in it is passed on
-- @tparam[opt] table opts as each has them, but timeout
-- @treturn number|nil how many events; nil once Ctrl-C, SIGTERM or the end of -d SECONDS asks to stop
function Map:poll(timeout, fn, opts)
  return require("luaprobe.loop").poll(self, timeout, fn, opts)
end

--- The last events before now, of a map whose buffers overwrite (a flight recorder): set
-- `obj.maps.NAME.overwrite = true` before load; `pages` or `bytes` say how much each CPU remembers. They stay in the
-- buffers. Events that happen while it is taken, a millisecond or so, are not recorded.
-- @tparam[opt] table opts `type`, `time` as each has them
-- @treturn {cdata,…} copies of the events; by their time where they have one, otherwise CPU after CPU
-- @treturn {number,…} the CPU of each
function Map:snapshot(opts)
  return event_map.snapshot(self, opts)
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
