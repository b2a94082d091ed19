--- Iterators that walk the records in a buffer's memory by themselves.
--
-- They spare one of the two looks that a batch takes at each event, which is what an event costs: memory is slow, and
-- Lua compiled by the JIT is not. C says how far it may go (`struct lp_stretch`): records that are complete and lie in
-- one piece. Whatever is not plain, such as a record that runs over the buffer's end, was discarded, or says what was
-- lost, is left to C.
--
-- Where the next record begins is guessed, as far away as the last time, and the guess then checked. So the processor
-- does not wait for one record's size before it can look at the next, as a loop that only reads sizes has to.
--
-- The event itself is the loop's state, so that no step waits for a counter in memory; where the loop stands is written
-- to the stretch, for a loop that is left and entered again, and for another one over the same stream in this one's
-- body: whoever finds that somebody else read on goes on from there.
-- @module luaprobe.walk
local ffi = require "ffi"
local bit = require "bit"
local reader = require "luaprobe.reader"

local M = {}

local cast, band = ffi.cast, bit.band

local byte_pointer = ffi.typeof "const uint8_t *"
local uint16_pointer, int32_pointer = ffi.typeof "const uint16_t *", ffi.typeof "const int32_t *"

-- The first event of the next stretch, or of the batch that another loop has begun.
local function begin(self)
  local stream = self.stream
  if stream.ordered or stream.index < stream.count then return reader.next_event(self) end
  if not self:next_stretch() then return nil end
  local stretch = stream.stretch
  local size = stretch.size
  stretch.least = self.type_size
  if size < stretch.least then self:too_short(size) end
  return cast(self.pointer, stretch.event), size, stretch.cpu
end

-- The loop's body has read on, or closed the stream.
local function rejoin(self, iterator)
  local stretch = self.stream.stretch
  if stretch == nil or stretch.event == nil then return begin(self) end
  stretch.least = self.type_size
  return iterator(self, stretch.event)
end

-- The next record's contents, `length` bytes behind these.
local function step(stretch, contents, length)
  local stride = stretch.stride
  if length == stride then return contents + stride end
  stretch.stride = length
  if length > stretch.longest then stretch.longest = length end
  return contents + length
end

-- A perf buffer's sample: 32 bits of type, 16 of flags, 16 of the whole record's size; 32 bits of the contents' size;
-- the contents (PERF_SAMPLE_RAW in <linux/perf_event.h>).
local HEADER, SAMPLE = 12, 9

--- The iterator for perf buffers.
function M.perf(self, event)
  if event == nil then return begin(self) end
  local stretch, contents = self.stream.stretch, cast(byte_pointer, event)
  if stretch == nil or stretch.event ~= contents then return rejoin(self, M.perf) end
  local following = step(stretch, contents, cast(uint16_pointer, contents - 6)[0])
  if following >= stretch.limit then return begin(self) end
  local length = cast(uint16_pointer, following - 6)[0]
  if cast(int32_pointer, following - HEADER)[0] ~= SAMPLE or following + length > stretch.end_ then
    return begin(self)
  end
  local size = length - HEADER
  if cast(int32_pointer, following - 4)[0] ~= size then return begin(self) end -- more than the record has room for
  stretch.event, stretch.size = following, size
  stretch.events = stretch.events + 1
  stretch.bytes = stretch.bytes + size
  if size < stretch.least then self:too_short(size) end
  return cast(self.pointer, following), size, stretch.cpu
end

-- A ring buffer's record: 32 bits of the contents' size, of which two tell that it is not complete or was discarded;
-- 32 bits that are the kernel's own; the contents, padded to 8 bytes (kernel/bpf/ringbuf.c).
local RING_HEADER, FLAGGED = 8, 0x40000000

--- The iterator for ring buffers.
function M.ring(self, event)
  if event == nil then return begin(self) end
  local stretch, contents = self.stream.stretch, cast(byte_pointer, event)
  if stretch == nil or stretch.event ~= contents then return rejoin(self, M.ring) end
  local following = step(stretch, contents, band(cast(int32_pointer, contents - RING_HEADER)[0] + RING_HEADER + 7, -8))
  if following >= stretch.limit then return begin(self) end
  local size = cast(int32_pointer, following - RING_HEADER)[0]
  -- The uppermost bit makes it negative.
  if size < 0 or size >= FLAGGED or following + size > stretch.end_ then return begin(self) end
  stretch.event, stretch.size = following, size
  stretch.events = stretch.events + 1
  stretch.bytes = stretch.bytes + size
  if size < stretch.least then self:too_short(size) end
  return cast(self.pointer, following), size, stretch.cpu
end

return M
