--- What a fetched field is as a Lua value, and as people read it.
-- @module luaprobe.field_value
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local text = require "luaprobe.text"
local value_of = require "luaprobe.value"

local M = {}

local char_pointer = ffi.typeof "const char *"
local TEXT_SIZE = 256 -- LP_TEXT_SIZE

--- A number as a Lua value: enumerators by their name, booleans as such.
-- @tparam table field of luaprobe.fetch
-- @param number uint64_t
function M.number(field, number)
  if field.fetch.is_signed == 1 then number = ffi.cast("int64_t", number) end
  local type = field.type
  if type.bool and not field.format then return number ~= 0 end
  local integer = value_of.integer(number)
  if type.kind == "enum" and not field.format then
    return type.names[value_of.key(integer)] or integer
  end
  return integer
end

local function ipv4(address)
  return ("%d.%d.%d.%d"):format(address[0], address[1], address[2], address[3])
end

-- The longest run of at least two zero groups becomes "::" (RFC 5952).
local function ipv6(address)
  local groups = {}
  for i = 0, 7 do groups[i + 1] = ("%x"):format(address[2 * i] * 256 + address[2 * i + 1]) end
  local text6 = ":" .. table.concat(groups, ":") .. ":"
  for length = 8, 2, -1 do
    local run = ":" .. ("0:"):rep(length)
    local at = text6:find(run, 1, true)
    if at then
      text6 = text6:sub(1, at - 1) .. "::" .. text6:sub(at + #run)
      break
    end
  end
  if text6:sub(1, 2) ~= "::" then text6 = text6:sub(2) end
  if text6:sub(-2) ~= "::" then text6 = text6:sub(1, -2) end
  return text6
end

--- An address of 4 or 16 bytes as text.
function M.address(bytes, size)
  return size == 16 and ipv6(bytes) or ipv4(bytes)
end

--- The value of a field of an event.
-- @tparam table field of luaprobe.fetch, with `index`
-- @param event `struct event *` of trace.bpf.c
-- @return nil when it could not be read
function M.of_event(field, event)
  if bit.band(event.failed, bit.lshift(1, field.index)) ~= 0 then return nil end
  if field.is_text or field.bytes then
    local at = ffi.cast(char_pointer, event.texts) + field.fetch.slot * TEXT_SIZE
    if field.bytes then return M.address(ffi.cast("const uint8_t *", at), field.bytes) end
    return ffi.string(at, C.lp_text_length(at, TEXT_SIZE))
  end
  local number = event.values[field.index]
  if field.format == "ip" then
    return M.address(ffi.cast("const uint8_t *", event.values + field.index), 4)
  elseif field.format == "sym" then
    return number == 0 and 0 or require("luaprobe.ksyms").symbol(number)
  end
  return M.number(field, number)
end

-- As wide as the field is, where it is negative.
local function hexadecimal(field, value)
  local unused = field.fetch.right or 0 -- bits
  local bits = ffi.cast("uint64_t", ffi.cast("int64_t", value))
  bits = bit.rshift(bit.lshift(bits, unused), unused)
  return "0x" .. bit.tohex(bits, 16):gsub("^0+(%x)", "%1")
end

--- A value as people read it.
function M.show(field, value)
  if value == nil then return "-" end
  local is_number = type(value) == "number" or type(value) == "cdata"
  if is_number and (field.format == "x" or not field.format and field.type.kind == "ptr") then
    return hexadecimal(field, value)
  end
  return is_number and value_of.digits(value) or tostring(text.of(value))
end

return M
