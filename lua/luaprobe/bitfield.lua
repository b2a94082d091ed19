--- Bit-fields, read and written by their place in a struct's bytes.
--
-- FFI's own bit-fields end at 32 bits and follow the rules of one compiler; BTF gives places. Both processors that
-- luaprobe runs on are little-endian, so a field's lowest bit is in its first byte.
-- @module luaprobe.bitfield
local ffi = require "ffi"
local bit = require "bit"
local value = require "luaprobe.value"

local M = {}

local band, rshift = bit.band, bit.rshift

-- The bytes that a field touches, as one number. Above 53 bits a double has gaps, so it is cdata then.
local function bits_at(bytes, first, count)
  local sum = count > 6 and 0ULL or 0
  for i = count - 1, 0, -1 do sum = sum * 256 + bytes[first + i] end
  return sum
end

-- A field of up to 64 bits can begin in the middle of a byte, and so end in a ninth.
local function read_nine(bytes, first, shift)
  local low = rshift(bits_at(bytes, first, 8), shift)
  return bit.bor(low, bit.lshift(0ULL + bytes[first + 8], 64 - shift))
end

local function unsigned(bytes, field)
  local first, shift = rshift(field.bit_offset, 3), band(field.bit_offset, 7)
  local count = rshift(shift + field.bit_size + 7, 3)
  if count == 9 then return bit.band(read_nine(bytes, first, shift), 2ULL ^ field.bit_size - 1) end
  local all = bits_at(bytes, first, count)
  if count > 6 then
    all = rshift(all, shift)
    return field.bit_size == 64 and all or bit.band(all, bit.lshift(1ULL, field.bit_size) - 1)
  end
  return math.floor(all / 2 ^ shift) % 2 ^ field.bit_size
end

--- Reads a field.
-- @tparam cdata bytes the struct, as uint8_t *
-- @tparam table field `{bit_offset, bit_size, signed}`
-- @treturn number|cdata as luaprobe.value.integer gives integers
function M.read(bytes, field)
  local number = unsigned(bytes, field)
  if type(number) == "cdata" then
    if field.signed then
      local unused = 64 - field.bit_size
      number = bit.arshift(ffi.cast("int64_t", bit.lshift(number, unused)), unused)
    end
    return value.integer(number)
  end
  if field.signed and number >= 2 ^ (field.bit_size - 1) then number = number - 2 ^ field.bit_size end
  return number
end

--- Writes a field, and nothing beside it.
-- @param number one that fits
function M.write(bytes, field, number)
  local rest = number
  if type(number) == "cdata" or number < 0 then rest = ffi.cast("uint64_t", ffi.cast("int64_t", number)) end
  for i = field.bit_offset, field.bit_offset + field.bit_size - 1 do
    local byte, mask = rshift(i, 3), bit.lshift(1, band(i, 7))
    local is_set = tonumber(rest % 2) == 1
    bytes[byte] = is_set and bit.bor(bytes[byte], mask) or band(bytes[byte], bit.bnot(mask))
    rest = type(rest) == "cdata" and rest / 2 or math.floor(rest / 2)
  end
end

return M
