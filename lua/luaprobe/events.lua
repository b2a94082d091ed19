--- Streams of events: drained in batches, on a tick.
--
-- C fills an array of pointers into the kernel's buffers (lp_source_read), Lua loops over it: no call from C into Lua,
-- and a loop that the JIT compiles. A stream sees only a `struct lp_source`, whatever kind of buffer is behind it.
-- @module luaprobe.events
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local accounts = require "luaprobe.accounts"
local err = require "luaprobe.error"
local limits = require "luaprobe.limits"
local tick = require "luaprobe.tick"

-- LUAPROBE_DEBUG=1: an event is overwritten with 0xdb as soon as the loop's body is over.
local debugging = os.getenv "LUAPROBE_DEBUG" == "1"
local BATCH = debugging and 1 or 256 -- events per call into C

local M = {}

local Stream = {}
Stream.__index = Stream

local batch_type = ffi.typeof "struct lp_event[?]"
local raw_stats = ffi.new "struct lp_source_stats"

--- Makes a stream of an open source.
-- @param source the `struct lp_source *`, which the stream closes
-- @tparam string name for messages
-- @tparam string kind "ring" or "perf"
-- @tparam number bytes the size of each CPU's buffer
function M.new(source, name, kind, bytes)
  local stream = setmetatable({
    name = name,
    kind = kind,
    bytes = bytes,
    source = ffi.gc(source, C.lp_source_close),
    batch = batch_type(BATCH),
    batch_size = BATCH,
    stretch = C.lp_source_stretch(source), -- what the loop walks by itself (luaprobe.walk)
    count = 0, -- events in the batch
    index = 0, -- the one being looked at
    tick = tick.FIRST,
    longest_tick = tick.IDLE,
    errors = 0, -- of handlers
  }, Stream)
  accounts.add(stream)
  return stream
end

M.set_duration = limits.set_duration

--- Whether events are overwritten after their loop body (LUAPROBE_DEBUG=1).
function M.is_debugging()
  return debugging
end

local function stats(self)
  C.lp_source_stats(self.source, raw_stats)
  return raw_stats
end

local function lost_by_cpu(self)
  local list = {}
  for cpu = 0, accounts.cpus() - 1 do
    local lost = tonumber(C.lp_source_lost(self.source, cpu))
    if lost > 0 then list[cpu] = lost end
  end
  return list
end

--- What came and what did not: see luaprobe.accounts.
function Stream:account()
  if not self.source then return self.final end
  local now = stats(self)
  local lost = tonumber(now.lost)
  return {
    name = self.name, kind = self.kind, events = tonumber(now.events), bytes = tonumber(now.bytes), lost = lost,
    late = tonumber(now.late), errors = self.errors, first_error = self.first_error,
    high_water = tonumber(now.high_water), capacity = tonumber(now.capacity), bytes_per_cpu = self.bytes,
    lost_by_cpu = lost > 0 and lost_by_cpu(self) or {},
  }
end

--- Events that found a buffer full.
function Stream:lost()
  return self.source and tonumber(stats(self).lost) or self.final.lost
end

--- Closes the buffers; what was counted stays.
function Stream:close()
  if not self.source then return end
  self.final = self:account()
  accounts.close(self)
  C.lp_source_close(ffi.gc(self.source, nil))
  self.stretch = nil -- it was the source's
  self.source, self.count, self.index = nil, 0, 0
end

-- The loop shall end: what is in the buffers is still delivered, but no more than they hold: a busy machine could fill
-- them for ever.
local function begin_end(self)
  local room = limits.output_closed() and 0 or tonumber(C.lp_source_capacity(self.source))
  C.lp_source_flush(self.source)
  self.last_byte = tonumber(C.lp_source_bytes(self.source)) + room
end

-- Whether nothing came for as long as `timeout` allows.
local function is_quiet(self, count)
  if not self.timeout then return false end
  local now = limits.now()
  if count > 0 or not self.quiet_since then self.quiet_since = now end
  return now - self.quiet_since >= self.timeout
end

local function has_read_all(self)
  return self.last_byte and tonumber(C.lp_source_bytes(self.source)) >= self.last_byte
end

-- Whether the loop is over when a read has given `count` events.
local function is_over(self, count)
  if self.last_byte then return count == 0 end
  if not (limits.reached() or is_quiet(self, count)) then return false end
  begin_end(self)
  return count == 0 and not self.ordered or limits.output_closed()
end

--- How many milliseconds to sleep before the next look.
function Stream:next_tick()
  self.tick = tick.after(self.tick, C.lp_source_peak(self.source), self.longest_tick)
  return self.tick
end

--- Sleeps until there may be something to read.
-- @tparam[opt] number until_time when to wake at the latest, in nanoseconds
function Stream:wait(until_time)
  err.check(C.lp_source_wait(self.last_byte and 0 or limits.cut(self:next_tick(), until_time)))
end

local function finish(self)
  self.count, self.index, self.last_byte, self.quiet_since = 0, 0, nil, nil
  limits.finish()
  return false
end

-- Reads on, sleeping while there is nothing. Returns how many events there are, or false when the loop is over.
local function refill(self, read)
  while self.source do
    if has_read_all(self) then return finish(self) end
    local count = read(self)
    if (count == 0 or self.last_byte or self.timeout or limits.has_deadline() or C.lp_stop_pending() ~= 0)
      and is_over(self, count) then
      return finish(self)
    end
    if count > 0 then return count end
    self:wait(self.quiet_since and self.quiet_since + self.timeout)
  end
  return false
end

-- A batch has been looked at: gets the next.
local function read_batch(self)
  local count = C.lp_source_read(self.source, self.batch, self.batch_size)
  self.count, self.index = count, 0
  return count
end

--- Reads the next batch without sleeping, for loops of their own (luaprobe.loop).
-- @treturn number how many events there are
Stream.read = read_batch

local function read_stretch(self)
  return C.lp_source_walk(self.source)
end

--- Finds the next stretch of records, sleeping while there is none. False when the loop is over.
function Stream:next_stretch()
  return refill(self, read_stretch)
end

--- Raises that an event is shorter than its type.
function M.too_short(stream, size)
  err.raise { code = "EBADMSG", stage = "events",
    message = ("map %s: an event of %d bytes is shorter than its type, %s, of %d bytes"):format(
      stream.name, size, stream.type_name, stream.type_size),
    hint = "the program and the script disagree about the type of the events" }
end

local function next_event(self)
  local index = self.index
  if index >= self.count then
    if not refill(self, read_batch) then return nil end
    index = 0
  end
  self.index = index + 1
  local record = self.batch[index]
  local size = record.size
  if size < self.type_size then M.too_short(self, size) end
  return ffi.cast(self.pointer, record.data), size, record.cpu
end

-- The same with what only ordered streams tell.
local function next_ordered(self)
  local event, size, cpu = next_event(self)
  if event == nil then return nil end
  return event, size, cpu, self.batch[self.index - 1].late ~= 0
end

--- Says what the events are, and how they shall come.
-- @tparam table layout `pointer` (an FFI type), `size` (bytes, without a flexible array), `name`, and `time` (the place
--   of the time in it) for `order`
-- @tparam table opts `max_delay`, `timeout` (seconds), `order` ("time")
function Stream:prepare(layout, opts)
  local delay = opts.max_delay and opts.max_delay * 1000 or tick.IDLE
  self.pointer, self.type_size, self.type_name = layout.pointer, layout.size, layout.name
  if self.stretch ~= nil then self.stretch.least = layout.size end
  self.timeout, self.quiet_since = opts.timeout and opts.timeout * 1e9, nil
  if opts.order then
    -- Half of the delay to wait for others, the other half until the next look.
    delay = delay / 2
    err.check(C.lp_source_order(self.source, layout.time, delay * 1e6))
    self.ordered = true
  elseif self.ordered then
    C.lp_source_flush(self.source)
  end
  self.longest_tick = math.max(1, math.floor(delay))
  self.tick = math.min(self.tick, self.longest_tick)
end

-- Whether the loop can walk the records by itself: nothing has to be done with them, and no batch is under way.
local function can_walk(self)
  return self.stretch ~= nil and not debugging and not self.ordered and self.index >= self.count
end

--- The iterator behind map:each; see prepare.
function Stream:each(layout, opts)
  self:prepare(layout, opts)
  limits.begin()
  if can_walk(self) then return require("luaprobe.walk")[self.kind], self end
  return self.ordered and next_ordered or next_event, self
end

return M
