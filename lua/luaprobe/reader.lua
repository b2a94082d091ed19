--- A reader of a stream of events: one loop, with what its events are and when it shall end.
--
-- A stream can have several, one in the other or in turn: each event goes to the one that asks next.
-- @module luaprobe.reader
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local limits = require "luaprobe.limits"
local tick = require "luaprobe.tick"

local M = {}

local Reader = {}
Reader.__index = Reader

--- Makes a reader.
-- @param map the events' map, which is kept from being collected while the loop lasts
-- @param stream its luaprobe.events stream
-- @tparam table layout `pointer` (an FFI type), `size` (bytes, without a flexible array), `name`, and `time` (the place
--   of the time in it) for `order`
-- @tparam table opts `max_delay`, `timeout` (seconds), `order` ("time")
function M.new(map, stream, layout, opts)
  local delay = opts.max_delay and opts.max_delay * 1000 or tick.IDLE
  if opts.order then delay = delay / 2 end -- half of it to wait for others, the other half until the next look
  local self = setmetatable({
    map = map,
    stream = stream,
    pointer = layout.pointer, type_size = layout.size, type_name = layout.name,
    timeout = opts.timeout and opts.timeout * 1e9,
    longest_tick = math.max(1, math.floor(delay)),
    time = opts.order and layout.time, order_delay = delay * 1e6,
  }, Reader)
  self:resume()
  return self
end

--- Has the stream's events come as this loop wants them, by their time or as they are: another loop over the stream,
-- or the end of an earlier one, which waits for nothing, may have changed that.
function Reader:resume()
  self.stream:order(self.time, self.order_delay)
end

-- The loop shall end: what is in the buffers is still delivered, but no more than they hold: a busy machine could fill
-- them for ever.
local function begin_end(self, source)
  local room = limits.output_closed() and 0 or tonumber(C.lp_source_capacity(source))
  C.lp_source_flush(source)
  self.last_byte = tonumber(C.lp_source_bytes(source)) + room
end

-- Whether nothing came for as long as `timeout` allows.
local function is_quiet(self, count)
  if not self.timeout then return false end
  local now = limits.now()
  if count > 0 or not self.quiet_since then self.quiet_since = now end
  return now - self.quiet_since >= self.timeout
end

local function has_read_all(self, source)
  return self.last_byte and tonumber(C.lp_source_bytes(source)) >= self.last_byte
end

-- Whether the loop is over when a read has given `count` events.
local function is_over(self, source, count)
  if self.last_byte then return count == 0 end
  if not (limits.reached() or is_quiet(self, count)) then return false end
  begin_end(self, source)
  return count == 0 and not self.stream.ordered or limits.output_closed()
end

--- How many milliseconds to sleep before the next look.
function Reader:next_tick()
  return self.stream:next_tick(self.longest_tick)
end

--- Sleeps until there may be something to read.
-- @tparam[opt] number until_time when to wake at the latest, in nanoseconds
function Reader:wait(until_time)
  err.check(C.lp_source_wait(self.last_byte and 0 or limits.cut(self:next_tick(), until_time)))
end

local function finish(self)
  self.stream:forget_batch()
  limits.finish()
  return false
end

-- Reads on, sleeping while there is nothing. Returns how many events there are, or false when the loop is over.
local function refill(self, read)
  local stream = self.stream
  while stream.source do
    if has_read_all(self, stream.source) then return finish(self) end
    local count = read(stream)
    if (count == 0 or self.last_byte or self.timeout or limits.has_deadline() or C.lp_stop_pending() ~= 0)
      and is_over(self, stream.source, count) then
      return finish(self)
    end
    if count > 0 then return count end
    self:wait(self.quiet_since and self.quiet_since + self.timeout)
  end
  return finish(self)
end

local function read_stretch(stream)
  return C.lp_source_walk(stream.source)
end

--- Finds the next stretch of records, sleeping while there is none. False when the loop is over.
function Reader:next_stretch()
  return refill(self, read_stretch)
end

--- Raises that an event is shorter than its type.
function M.too_short(name, size, type_name, type_size)
  err.raise { code = "EBADMSG", stage = "events",
    message = ("map %s: an event of %d bytes is shorter than its type, %s, of %d bytes"):format(name, size, type_name,
      type_size),
    hint = "the program and the script disagree about the type of the events" }
end

function Reader:too_short(size)
  M.too_short(self.stream.name, size, self.type_name, self.type_size)
end

--- The iterator that looks at batches.
function M.next_event(self)
  local stream = self.stream
  local index = stream.index
  if index >= stream.count then
    if not refill(self, stream.read) then return nil end
    index = 0
  end
  stream.index = index + 1
  local record = stream.batch[index]
  local size = record.size
  if size < self.type_size then self:too_short(size) end
  return ffi.cast(self.pointer, record.data), size, record.cpu
end

-- The same with what only ordered streams tell.
local function next_ordered(self)
  local event, size, cpu = M.next_event(self)
  if event == nil then return nil end
  return event, size, cpu, self.stream.batch[self.stream.index - 1].late ~= 0
end

--- The iterator behind map:each, and its state.
function Reader:iterate()
  limits.begin()
  if self.stream:can_be_walked() then return require("luaprobe.walk")[self.stream.kind], self end
  return self.stream.ordered and next_ordered or M.next_event, self
end

return M
