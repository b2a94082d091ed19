--- Streams of events: drained in batches, on a tick.
--
-- C fills an array of pointers into the kernel's buffers (lp_source_read), Lua loops over it: no call from C into Lua,
-- and a loop that the JIT compiles. A stream sees only a `struct lp_source`, whatever kind of buffer is behind it.
-- @module luaprobe.events
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local accounts = require "luaprobe.accounts"
local err = require "luaprobe.error"
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
--
-- It refers to no map or object: whoever holds an object's memory closes its streams before, also when the object is
-- collected (luaprobe.object). So what they counted is never lost, and never read from memory that is gone.
-- @param source the `struct lp_source *`, which the stream closes
-- @tparam string name for messages
-- @tparam string kind "ring" or "perf"
-- @tparam number bytes the size of each CPU's buffer
-- @tparam table about `overwrites`; `has_watermark`: the kernel wakes when so much is there; `is_unread`: nobody has
--   asked for its events yet, so nothing of it is told
function M.new(source, name, kind, bytes, about)
  local stream = setmetatable({
    name = name,
    kind = kind,
    bytes = bytes,
    overwrites = about.overwrites,
    is_unread = about.is_unread,
    source = source,
    batch = batch_type(BATCH),
    batch_size = BATCH,
    stretch = C.lp_source_stretch(source), -- what the loop walks by itself (luaprobe.walk)
    count = 0, -- events in the batch
    index = 0, -- the one being looked at
    tick = tick.FIRST,
    busy_tick = about.has_watermark and tick.BUSY or tick.UNWATCHED,
    errors = 0, -- of handlers
  }, Stream)
  accounts.add(stream)
  return stream
end

--- Whether events are overwritten after their loop body (LUAPROBE_DEBUG=1).
function M.is_debugging()
  return debugging
end

--- Gives a handle a finalizer that closes its streams first: they read its memory when they are asked what was lost.
-- @param handle cdata
-- @tparam table streams as keys
-- @tparam function close closes the handle itself
-- @return the handle
function M.own(handle, streams, close)
  return ffi.gc(handle, function(collected)
    for stream in pairs(streams) do
      stream:close()
      streams[stream] = nil
    end
    close(collected)
  end)
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

-- Events of the batch that nobody has been given yet, and their bytes.
local function not_delivered(self)
  local bytes = 0
  for i = self.index, self.count - 1 do bytes = bytes + self.batch[i].size end
  return self.count - self.index, bytes
end

--- What came and what did not: see luaprobe.accounts.
function Stream:account()
  if not self.source then return self.final end
  local now = stats(self)
  local lost = tonumber(now.lost)
  local waiting, waiting_bytes = not_delivered(self)
  return {
    name = self.name, kind = self.kind, events = tonumber(now.events) - waiting,
    bytes = tonumber(now.bytes) - waiting_bytes, lost = lost,
    late = tonumber(now.late), errors = self.errors, first_error = self.first_error,
    high_water = tonumber(now.high_water), capacity = tonumber(now.capacity), bytes_per_cpu = self.bytes,
    may_have_lost = now.may_have_lost, overwrites = self.overwrites,
    lost_by_cpu = lost > 0 and lost_by_cpu(self) or {},
  }
end

--- Events that found a buffer full.
function Stream:lost()
  return self.source and tonumber(stats(self).lost) or self.final.lost
end

--- Closes the buffers; what was counted stays. A loop over it, whose body this may be, ends.
function Stream:close()
  if not self.source then return end
  self.final = self:account()
  accounts.close(self)
  C.lp_source_close(self.source)
  self.stretch = nil -- it was the source's
  self.source, self.count = nil, self.index
end

--- From now on events come by their time, or as they are.
-- @tparam[opt] number offset the place of the time in them
-- @tparam[opt] number delay nanoseconds to wait for others
function Stream:order(offset, delay)
  if not self.source then return end
  if offset then
    err.check(C.lp_source_order(self.source, offset, delay))
    self.ordered = true
  elseif self.ordered then
    C.lp_source_flush(self.source)
  end
end

--- How many milliseconds to sleep before the next look.
-- @tparam number longest what the reader allows
function Stream:next_tick(longest)
  if not self.source then return longest end
  self.tick = tick.after(self.tick, C.lp_source_peak(self.source), longest, self.busy_tick)
  return self.tick
end

--- Reads the next batch without sleeping.
-- @treturn number how many events there are
function Stream:read()
  local count = self.source and C.lp_source_read(self.source, self.batch, self.batch_size) or 0
  self.count, self.index = count, 0
  return count
end

--- What is left of the batch is nobody's: the loop is over.
function Stream:forget_batch()
  self.count, self.index = 0, 0
end

--- Whether a loop can walk the records by itself: nothing has to be done with them, and no batch is under way.
function Stream:can_be_walked()
  return self.stretch ~= nil and not debugging and not self.ordered and self.index >= self.count
end

return M
