--- Streams of events: drained in batches, on a tick.
--
-- C fills an array of pointers into the kernel's buffers (lp_ring_read), Lua loops over it: no call from C into Lua,
-- and a loop that the JIT compiles. Nobody is woken per event, because the traced process would pay for that; the
-- buffers are looked at on a tick, and earlier when one is filled to a quarter.
-- @module luaprobe.events
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"

local BATCH = 512        -- events per call into C
local FIRST_TICK = 1     -- milliseconds; a tool's first event shall be seen at once
local BUSY_TICK = 20     -- while events come
local IDLE_TICK = 50     -- the default max_delay: 20 wakeups a second when nothing happens
local SIGPIPE = 13

local M = {}

local Stream = {}
Stream.__index = Stream

local batch_type = ffi.typeof "struct lp_event[?]"
local raw_stats = ffi.new "struct lp_ring_stats"
local open_streams = setmetatable({}, { __mode = "k" })
local duration -- nanoseconds that loops may last, or nil
local deadline -- when they end, once the first has begun

--- Limits the time that event loops last, counted from the first one's start.
-- @tparam number seconds
function M.set_duration(seconds)
  duration, deadline = seconds * 1e9, nil
end

local function start_clock()
  if duration and not deadline then deadline = tonumber(C.lp_time_monotonic()) + duration end
end

--- Opens the buffers of a perf event array.
-- @tparam number map_fd the loaded map's descriptor
-- @tparam string name for messages
-- @tparam[opt] number pages per CPU, a power of two
-- @tparam function refused how many events the programs could not send, as far as they count them
-- @raise error of stage "events"
function M.open(map_fd, name, pages, refused)
  if pages == 0 then err.misuse("map %s: a buffer has at least one page", name) end
  local ring = err.check(C.lp_ring_open(map_fd, pages or 0))
  local stream = setmetatable({
    name = name,
    refused = refused,
    pages = C.lp_ring_pages(ring),
    ring = ffi.gc(ring, C.lp_ring_close),
    batch = batch_type(BATCH),
    count = 0, -- events in the batch
    index = 0, -- the one being looked at
    tick = FIRST_TICK,
  }, Stream)
  open_streams[stream] = true
  return stream
end

local function stats(self)
  C.lp_ring_stats(self.ring, raw_stats)
  return raw_stats
end

--- Events that found a buffer full. Both the buffers and lp_output in the programs count them; either can know more:
-- not every program uses it, and before Linux 6.0 the buffers do not tell of the last losses.
function Stream:lost()
  return self.ring and math.max(tonumber(stats(self).lost), self.refused()) or self.final_lost
end

--- Events delivered.
function Stream:delivered()
  return self.ring and tonumber(stats(self).events) or self.final_events
end

--- Unmaps the buffers; the counts stay. Events handed out before are no longer valid.
function Stream:close()
  if not self.ring then return end
  self.final_events, self.final_lost = self:delivered(), self:lost()
  C.lp_ring_close(ffi.gc(self.ring, nil))
  self.ring, self.count, self.index = nil, 0, 0
end

-- Once the loop is to end, what is in the buffers is still delivered, but no more than they hold: a busy machine
-- could fill them for ever.
local function begin_end(self, signal)
  local room = signal == SIGPIPE and 0 or tonumber(C.lp_ring_capacity(self.ring))
  self.last_byte = tonumber(stats(self).bytes) + room
end

-- Whether the loop is over after a batch of `count` events.
local function is_over(self, count)
  if not self.last_byte then
    local signal = C.lp_stop_pending()
    if signal == 0 and not (deadline and tonumber(C.lp_time_monotonic()) >= deadline) then return false end
    begin_end(self, signal)
  end
  return count == 0 or tonumber(stats(self).bytes) > self.last_byte
end

local function wait(self)
  local timeout = self.tick
  if deadline then
    timeout = math.max(0, math.min(timeout, math.ceil((deadline - tonumber(C.lp_time_monotonic())) / 1e6)))
  end
  err.check(C.lp_ring_wait(self.ring, timeout))
  self.tick = math.min(self.tick * 2, self.max_tick)
end

local function finish(self)
  self.count, self.index, self.last_byte = 0, 0, nil
  C.lp_stop_release()
end

-- Gets the next batch, sleeping while there is none. False when the loop is over.
local function refill(self)
  local ring = self.ring
  if ring == nil then return false end
  while true do
    local count = C.lp_ring_read(ring, self.batch, BATCH)
    if (count < BATCH or self.last_byte or deadline or C.lp_stop_pending() ~= 0) and is_over(self, count) then
      finish(self)
      return false
    end
    if count > 0 then
      self.count, self.index = count, 0
      self.tick = math.min(BUSY_TICK, self.max_tick)
      return true
    end
    wait(self)
  end
end

local function too_short(self, size)
  err.raise { code = "EBADMSG", stage = "events",
    message = ("map %s: an event of %d bytes is shorter than its type, %s, of %d bytes"):format(
      self.name, size, self.type_name, self.type_size),
    hint = "the program and the script disagree about the type of the events" }
end

local function next_event(self)
  local index = self.index
  if index >= self.count then
    if not refill(self) then return nil end
    index = 0
  end
  self.index = index + 1
  local record = self.batch[index]
  local size = record.size
  if size < self.type_size then too_short(self, size) end
  return ffi.cast(self.pointer, record.data), size, record.cpu
end

--- The iterator behind map:each.
-- @param types the luaprobe.types of the object
-- @tparam table type the description of the events' type
-- @tparam[opt] number max_delay seconds
function Stream:each(types, type, max_delay)
  self.pointer = types:pointer(type.id)
  self.type_size = ffi.sizeof(types:ctype(type.id)) -- up to a flexible array, whose length is the record's affair
  self.type_name = type.kind .. " " .. type.name
  self.max_tick = math.max(1, max_delay and max_delay * 1000 or IDLE_TICK)
  self.tick = math.min(self.tick, self.max_tick)
  start_clock()
  C.lp_stop_catch()
  return next_event, self
end

--- Tells what was lost, one line per stream; the host prints it when the script ends.
-- @treturn {string,…}
function M.losses()
  local lines = {}
  for stream in pairs(open_streams) do
    local lost = stream:lost()
    if lost > 0 then
      lines[#lines + 1] = ("%s: lost %d of %d events: the buffers were full; more pages help (now %d per CPU)"):format(
        stream.name, lost, lost + stream:delivered(), stream.pages)
    end
  end
  table.sort(lines)
  return lines
end

return M
