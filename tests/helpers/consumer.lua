-- consumer.lua: reads what fixtures/stream.bpf.c sends and accounts for every number.
--
--     luaprobe tests/helpers/consumer.lua OBJECT PID KIND BYTES BURST SIZE PAUSES
--
-- PAUSES: microseconds of the longest of the pauses that it makes at random. Ends when nothing came for half a second
-- after something had. Prints `delivered lost sent errors high_water missed`; errors are numbers twice, out of order,
-- torn, of the wrong size, or whose absence on a CPU is not what was counted as lost there.
local lp = require "luaprobe"
local ffi = require "ffi"
local bit = require "bit"

ffi.cdef "int usleep(unsigned int microseconds);"

local path, pid, kind, bytes, burst, fixed_size, pauses = unpack(arg)
bytes, fixed_size, pauses = tonumber(bytes), tonumber(fixed_size), tonumber(pauses)

local object = lp.open(path, { const = { only_pid = tonumber(pid), burst = tonumber(burst), fixed_size = fixed_size } })
local map = object.maps.events
map.buffer, map.bytes = kind, bytes
object:attach()
io.stdout:write "attached\n"
io.stdout:flush()

local CPUS = 64
local uint64_pointer = ffi.typeof "const uint64_t *"
local byte_pointer = ffi.typeof "const uint8_t *"
local last, absent = ffi.new("double[?]", CPUS, -1), ffi.new("double[?]", CPUS)
local delivered, errors = 0, 0

-- 32 bits of the product of two 32-bit numbers.
local function multiply(a, b)
  return tonumber(ffi.cast("uint32_t", ffi.cast("uint64_t", a) * ffi.cast("uint64_t", b)))
end

-- fixtures/stream.bpf.c's size_of.
local function size_of(number)
  local mixed = multiply(number + 1, 2654435761)
  mixed = bit.bxor(mixed, bit.rshift(mixed, 15))
  local size, i = 8, 0
  while i < 12 and bit.band(bit.rshift(mixed, i), 1) == 0 do
    size, i = size * 2, i + 1
  end
  size = size + bit.band(bit.rshift(mixed, 12), size - 1)
  return math.min(size, 32768)
end

local padding = kind == "perf" and 7 or 0

local function check(event, size)
  local mark = event.mark
  local cpu = tonumber(mark / 281474976710656ULL)
  local number = tonumber(mark % 281474976710656ULL)
  local expected = fixed_size > 0 and fixed_size or size_of(number)
  if size < expected or size > expected + padding then errors = errors + 1 end
  local ending = ffi.cast(uint64_pointer, ffi.cast(byte_pointer, event) + expected - 8)
  if expected >= 16 and ending[0] ~= mark then errors = errors + 1 end
  if number <= last[cpu] then errors = errors + 1 end
  absent[cpu] = absent[cpu] + number - last[cpu] - 1
  last[cpu] = number
  delivered = delivered + 1
end

local until_pause = 1000
local function pause()
  until_pause = math.random(1, 20000)
  ffi.C.usleep(math.random(0, pauses))
end

local function consume(timeout)
  for event, size in map:each { timeout = timeout } do
    check(event, size)
    until_pause = until_pause - 1
    if pauses > 0 and until_pause == 0 then pause() end
  end
end

repeat consume(0.5) until delivered > 0 or object.data.sent[1] > 0
repeat
  local before = delivered
  consume(0.5)
until delivered == before

local source = lp.stats().sources[1]
local sent, lost = 0, 0
for cpu = 0, CPUS - 1 do
  local here = object.data.sent[cpu + 1]
  local counted = source.lost_by_cpu[cpu] or 0
  if absent[cpu] + here - 1 - last[cpu] ~= counted then errors = errors + 1 end
  sent, lost = sent + here, lost + counted
end
if lost ~= map.lost or source.events ~= delivered then errors = errors + 1 end
print(("%.0f %.0f %.0f %.0f %.0f %.0f"):format(delivered, lost, sent, errors, source.high_water,
  object.programs.produce:info().missed))
