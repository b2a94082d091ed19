--- The rule for values between Lua and memory, in one place.
--
-- | memory | read as | written from |
-- | --- | --- | --- |
-- | integers | number, or 64-bit cdata where a double does not hold it exactly | integral number in range, cdata |
-- | `bool` | boolean | boolean |
-- | enum | number | number, or an enumerator's name |
-- | `char[N]` | string up to its NUL | string of up to N - 1 bytes, or such an array |
-- | struct, array | table | table; what it does not name stays as it is; or the same struct or array |
-- | pointer, float | number | number; such a pointer |
-- @module luaprobe.value
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local cdata = require "luaprobe.cdata"

local type_of = type -- `type` is a BTF type's description below

local M = {}

local EXACT = 2 ^ 53 -- integers beyond it have gaps in a double
M.EXACT = EXACT
local uint8_pointer = ffi.typeof "uint8_t *"

--- An integer as Lua wants it: a number where a double holds it exactly, the cdata itself otherwise.
function M.integer(value)
  if type(value) ~= "cdata" then return value end
  local number = tonumber(value)
  if not number then return value end
  if number > -EXACT and number < EXACT then return number end
  return value
end

--- Whether it is an integer that is not a Lua number.
function M.is_integer(value)
  return ffi.istype("uint64_t", value) or ffi.istype("int64_t", value)
end

--- A number as text: integers with all their digits, which tostring keeps only below 10^14.
function M.digits(number)
  if type_of(number) ~= "number" then return (tostring(number):gsub("U?LL$", "")) end
  if number == math.floor(number) and math.abs(number) < 2 ^ 63 then return ("%.0f"):format(number) end
  return tostring(number)
end

--- What stands for an integer as a key of a Lua table: itself, or its digits where it is cdata, which Lua compares by
-- identity.
function M.key(value)
  value = M.integer(value)
  if type_of(value) ~= "cdata" then return value end
  return (tostring(value):gsub("U?LL$", ""))
end

-- Writing fails with { path, reason }, which M.write turns into a message.
local function misfit(path, format, ...)
  error({ path = path, reason = format:format(...) }, 0)
end

--- Whether it is `char[N]`, a string.
function M.is_char_array(types, type)
  return type.kind == "array" and types:get(type.of).char
end

--- The least and the greatest number that an integer or enumeration holds.
function M.range(type)
  local bits = type.size * 8
  if type.signed then return -2 ^ (bits - 1), 2 ^ (bits - 1) - 1 end
  return 0, 2 ^ bits - 1
end

-- The same as text, with all digits: the greatest ones of more than 53 bits are no doubles.
local function range_text(type)
  local bits = type.size * 8
  if not type.signed then return "0 to " .. M.digits(2ULL ^ bits - 1) end
  local half = 2ULL ^ (bits - 1)
  return ("-%s to %s"):format(M.digits(half), M.digits(half - 1))
end

-- A 64-bit integer in a type of `size` bytes, or of a bit-field's fraction of one.
local function check_wide(type, value, path)
  local bits = type.size * 8
  local negative = ffi.istype("int64_t", value) and value < 0
  if negative and not type.signed then
    misfit(path, "%s does not fit: it takes no negative numbers", tostring(value))
  end
  local magnitude = ffi.cast("uint64_t", negative and -(value + 1) or value) -- of a negative one without its sign
  local room = type.signed and bits - 1 or bits
  if room < 64 and bit.rshift(magnitude, room) ~= 0 then
    if bits == 64 then misfit(path, "%s does not fit: it takes up to 9223372036854775807LL", tostring(value)) end
    misfit(path, "%s does not fit into %d bits%s", tostring(value), bits, type.signed and " with a sign" or "")
  end
  return value
end

local NUMBERS = { "double", "float", "int32_t", "uint32_t", "int16_t", "uint16_t", "int8_t", "uint8_t" }

-- What a number of FFI's other types is in Lua; nil for what is none.
local function number_of(value)
  for _, name in ipairs(NUMBERS) do
    if ffi.istype(name, value) then return tonumber(value) end
  end
end

local function check_integer(type, value, path)
  if type_of(value) == "cdata" then
    if cdata.is_type(value) then misfit(path, "is a type, not a number") end
    if M.is_integer(value) then return check_wide(type, value, path) end
    value = number_of(value) or misfit(path, "is not a number")
  end
  if type_of(value) ~= "number" then misfit(path, "is a %s, not a number", type_of(value)) end
  local least, most = M.range(type)
  if value ~= math.floor(value) then misfit(path, "%s is not a whole number", value) end
  if value < least or value > most then
    misfit(path, "%.0f does not fit: it takes %s", value, range_text(type))
  elseif math.abs(value) > EXACT then
    misfit(path, "%.0f may not be what was written, since numbers beyond 2^53 have gaps: write it as %s", value,
      type.signed and "-123LL or 123LL" or "123ULL")
  end
  return value
end

local function enum_number(type, value, path)
  if type_of(value) ~= "string" then return check_integer(type, value, path) end
  return type.values[value] or misfit(path, "enum %s has no '%s'", type.name, value)
end

local write

-- A struct or an array of the very type is taken as it is.
local function copied(types, address, type, value, path)
  if type_of(value) ~= "cdata" then return false end
  if cdata.is_type(value) then misfit(path, "is a type, not a value of it") end
  if type.count == 0 and cdata.count(value) then return true end -- an array as it is read, of no elements
  if not (ffi.istype(types:ctype(type.id), value) or ffi.istype(types:constant(type.id), value)) then return false end
  if value == nil then misfit(path, "is a NULL pointer") end
  ffi.copy(address, value, type.size)
  return true
end

local has_to_end = true -- strings in a NUL; those of a map's keys may fill their array, as the kernel's do

local function write_string(types, address, type, value, path)
  if copied(types, address, type, value, path) then return end
  if type_of(value) ~= "string" then misfit(path, "is a %s, not a string", type_of(value)) end
  local room = has_to_end and type.count - 1 or type.count
  if #value > room then
    misfit(path, "%d characters do not fit into char[%d], which holds %d", #value, type.count, room)
  end
  if value:find("\0", 1, true) then misfit(path, "holds a NUL character") end
  ffi.fill(address, type.count)
  ffi.copy(address, value, #value)
end

local function write_array(types, address, type, value, path)
  if copied(types, address, type, value, path) then return end
  if type_of(value) ~= "table" then misfit(path, "is a %s, not a table", type_of(value)) end
  if #value > type.count then misfit(path, "%d elements do not fit into %d", #value, type.count) end
  local size = types:get(type.of).size
  for i, element in pairs(value) do
    local element_path = ("%s[%s]"):format(path, tostring(i))
    if type_of(i) ~= "number" or i % 1 ~= 0 or i < 1 or i > type.count then
      misfit(element_path, "there is no such element: they are 1 to %d", type.count)
    end
    write(types, address + (i - 1) * size, type.of, element, element_path)
  end
end

-- What a bit-field takes: an integer of so many bits, an enumerator, true or false.
local function check_bits(of, bits, value, path)
  if of.bool then
    if type_of(value) ~= "boolean" then misfit(path, "is a %s, not a boolean", type_of(value)) end
    return value
  end
  local width = { size = bits / 8, signed = of.signed }
  if of.kind == "enum" and type_of(value) == "string" then
    value = of.values[value] or misfit(path, "enum %s has no '%s'", of.name, value)
  end
  return check_integer(width, value, path)
end

local function write_members(types, address, type, value, path)
  if copied(types, address, type, value, path) then return end
  if type_of(value) ~= "table" then misfit(path, "is a %s, not a table", type_of(value)) end
  for name, field in pairs(value) do
    local member = types:fields(type)[name]
    local field_path = ("%s.%s"):format(path, tostring(name))
    if not member then
      local owner = type.name ~= "" and type.kind .. " " .. type.name or "the " .. type.kind
      misfit(field_path, "%s has no such member", owner)
    end
    if member.bit_size then
      ffi.cast(types:pointer(type.id), address)[0][name] =
        check_bits(types:get(member.type_id), member.bit_size, field, field_path)
    else
      write(types, address + member.offset, member.type_id, field, field_path)
    end
  end
end

-- An address, or a pointer as memory has it: `void *`.
local function check_pointer(value, path)
  if type_of(value) == "cdata" and ffi.istype("void *", value) then return value end
  return ffi.cast("void *", ffi.cast("uintptr_t", check_integer({ size = 8 }, value, path)))
end

-- 128 bits, as they are read: bytes.
local function write_bytes(types, address, type, value, path)
  if copied(types, address, type, value, path) then return end
  if type_of(value) ~= "string" then misfit(path, "is a %s, not a string of %d bytes", type_of(value), type.size) end
  if #value ~= type.size then misfit(path, "is a string of %d bytes, not of %d", #value, type.size) end
  ffi.copy(address, value, type.size)
end

function write(types, address, id, value, path)
  local type = types:get(id)
  local kind = type.kind
  if M.is_char_array(types, type) then return write_string(types, address, type, value, path) end
  if kind == "array" then return write_array(types, address, type, value, path) end
  if kind == "struct" or kind == "union" then return write_members(types, address, type, value, path) end
  if kind == "ptr" then
    value = check_pointer(value, path)
  elseif kind == "enum" then
    value = enum_number(type, value, path)
  elseif type.bool then
    if type_of(value) ~= "boolean" then misfit(path, "is a %s, not a boolean", type_of(value)) end
  elseif kind == "int" and type.size <= 8 then
    value = check_integer(type, value, path)
  elseif kind == "int" then
    return write_bytes(types, address, type, value, path)
  elseif kind == "float" then
    if type_of(value) ~= "number" then misfit(path, "is a %s, not a number", type_of(value)) end
    if type.size == 4 and math.abs(tonumber(ffi.new("float", value))) == math.huge and math.abs(value) < math.huge then
      misfit(path, "%g does not fit: a float takes up to 3.4e38", value)
    end
  else
    misfit(path, "a %s of %d bytes cannot be written from Lua", kind, type.size)
  end
  ffi.cast(types:pointer(id), address)[0] = value
end

local function attempt(types, address, id, value, name)
  local ok, reason = pcall(write, types, address, id, value, name)
  if ok then return true end
  if type(reason) ~= "table" then error(reason, 0) end
  return nil, ("%s: %s"):format(reason.path, reason.reason)
end

--- Writes a Lua value into memory that may end up half written. Strings may fill their array, without a NUL.
-- @return as write
function M.fill(types, address, id, value, name)
  has_to_end = false
  local completed, ok, reason = pcall(attempt, types, address, id, value, name)
  has_to_end = true
  if not completed then error(ok, 0) end
  return ok, reason
end

--- Writes a Lua value into memory, all of it or nothing. Of a struct or an array only what the value names is touched:
-- others may be writing beside it.
-- @param types the luaprobe.types of the object
-- @param address where, as a pointer
-- @tparam number id the BTF type
-- @param value see the table of luaprobe.value
-- @tparam string name what the value is called in messages
-- @return true, or nil and the reason, naming the field: then nothing was written
function M.write(types, address, id, value, name)
  local size = types:get(id).size
  local trial = ffi.new("uint8_t[?]", size)
  ffi.copy(trial, address, size)
  local ok, reason = attempt(types, ffi.cast(uint8_pointer, trial), id, value, name)
  if ok then return attempt(types, ffi.cast(uint8_pointer, address), id, value, name) end
  return nil, reason
end

local read_from = setmetatable({}, { __mode = "k" }) -- the types of tables that stand for memory

--- Remembers what memory a table was read from, for luaprobe.pretty: a number does not tell that it is an enumerator.
-- @param any what read gave; only tables are remembered
-- @tparam table type the description of its type
-- @return the same value
function M.remember(any, type)
  if type_of(any) == "table" then read_from[any] = type end
  return any
end

--- The type of the memory that a table was read from; nil where it was none, or nobody remembered it.
function M.type_of(list)
  return read_from[list]
end

--- The array without a length at the end of a record whose size is known, as a type that has the record's elements.
-- @param types the luaprobe.types of the object
-- @tparam table type the description of the record's type
-- @tparam table member of it
-- @tparam[opt] number size bytes of the record; nil when it is not known
-- @treturn table|nil `kind`, `of`, `count`; nil when the member is no such array
function M.open_array(types, type, member, size)
  if not size or member ~= type.members[#type.members] then return nil end
  local array = types:get(member.type_id)
  if array.kind ~= "array" or array.count ~= 0 then return nil end
  local element = math.max(1, types:get(array.of).size)
  return { kind = "array", of = array.of, count = math.max(0, math.floor((size - member.offset) / element)) }
end

local function read_array(types, address, array)
  if M.is_char_array(types, array) then
    return ffi.string(address, C.lp_text_length(ffi.cast("const char *", address), array.count))
  end
  local result, size = {}, types:get(array.of).size
  for i = 1, array.count do result[i] = M.read(types, address + (i - 1) * size, array.of) end
  return result
end

local function read_members(types, address, type, size)
  local result, whole = {}, ffi.cast(types:pointer(type.id), address)
  for name, member in pairs(types:fields(type)) do
    local open = M.open_array(types, type, member, size)
    if open then
      result[name] = read_array(types, address + member.offset, open)
    elseif member.bit_size then
      result[name] = M.integer(whole[0][name])
    else
      result[name] = M.read(types, address + member.offset, member.type_id)
    end
  end
  return result
end

--- Reads memory as a Lua value.
-- @param types the luaprobe.types of the object
-- @param address where, as a pointer
-- @tparam number id the BTF type
-- @tparam[opt] number size bytes that there are, of a record that ends in an array without a length
function M.read(types, address, id, size)
  local type = types:get(id)
  address = ffi.cast(uint8_pointer, address)
  if type.kind == "array" then return read_array(types, address, type) end
  if type.kind == "struct" or type.kind == "union" then return read_members(types, address, type, size) end
  local value = ffi.cast(types:pointer(id), address)[0]
  if type.kind == "ptr" then return M.integer(ffi.cast("uintptr_t", value)) end
  if type.kind == "int" and type.size > 8 then return ffi.string(address, type.size) end
  return M.integer(value)
end

return M
