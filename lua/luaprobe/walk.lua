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
-- to the stretch, for a loop that is left and entered again.
-- @module luaprobe.walk
local ffi = require "ffi"
local bit = require "bit"
local events = require "luaprobe.events"

local M = {}

local cast, band, too_short = ffi.cast, bit.band, events.too_short

local byte_pointer = ffi.typeof "const uint8_t *"
local uint16_pointer, int32_pointer = ffi.typeof "const uint16_t *", ffi.typeof "const int32_t *"

-- The first event of the next stretch.
local function begin(self)
  if not self:next_stretch() then return nil end
  local stretch = self.stretch
  local size = stretch.size
  if size < stretch.least then too_short(self, size) end
  return cast(self.pointer, stretch.event), size, stretch.cpu
end

-- The next record's contents, `length` bytes behind these.
local function step(stretch, contents, length)
  local stride = stretch.stride
  if length == stride then return contents + stride end
  stretch.stride = length
  return contents + length
end

-- A perf buffer's sample: 32 bits of type, 16 of flags, 16 of the whole record's size; 32 bits of the contents' size;
-- the contents (PERF_SAMPLE_RAW in <linux/perf_event.h>).
local HEADER, SAMPLE = 12, 9

--- The iterator for perf buffers.
function M.perf(self, event)
  if event == nil then return begin(self) end
  local stretch = self.stretch
  local contents = cast(byte_pointer, event)
  local following = step(stretch, contents, cast(uint16_pointer, contents - 6)[0])
  if following >= stretch.limit then return begin(self) end
  local length = cast(uint16_pointer, following - 6)[0]
  if cast(int32_pointer, following - HEADER)[0] ~= SAMPLE or following + length > stretch.end_ then
    return begin(self)
  end
  local size = length - HEADER
  stretch.event, stretch.size = following, size
  stretch.events = stretch.events + 1
  stretch.bytes = stretch.bytes + size
  if size < stretch.least then too_short(self, size) end
  return cast(self.pointer, following), size, stretch.cpu
end

-- A ring buffer's record: 32 bits of the contents' size, of which two tell that it is not complete or was discarded;
-- 32 bits that are the kernel's own; the contents, padded to 8 bytes (kernel/bpf/ringbuf.c).
local RING_HEADER, FLAGGED = 8, 0x40000000

--- The iterator for ring buffers.
function M.ring(self, event)
  if event == nil then return begin(self) end
  local stretch = self.stretch
  local contents = cast(byte_pointer, event)
  local following = step(stretch, contents, band(cast(int32_pointer, contents - RING_HEADER)[0] + RING_HEADER + 7, -8))
  if following >= stretch.limit then return begin(self) end
  local size = cast(int32_pointer, following - RING_HEADER)[0]
  -- The uppermost bit makes it negative.
  if size < 0 or size >= FLAGGED or following + size > stretch.end_ then return begin(self) end
  stretch.event, stretch.size = following, size
  stretch.events = stretch.events + 1
  stretch.bytes = stretch.bytes + size
  if size < stretch.least then too_short(self, size) end
  return cast(self.pointer, following), size, stretch.cpu
end

return M
