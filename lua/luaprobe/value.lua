--- The rule for values between Lua and memory, in one place.
--
-- | memory | read as | written from |
-- | --- | --- | --- |
-- | integers | number, or 64-bit cdata where a double does not hold it exactly | integral number in range, cdata |
-- | `bool` | boolean | boolean |
-- | enum | number | number, or an enumerator's name |
-- | `char[N]` | string up to its NUL | string of up to N - 1 bytes |
-- | struct, array | table | table; what it does not name stays as it is |
-- | pointer, float | number | number |
-- @module luaprobe.value
local ffi = require "ffi"
local C = require "luaprobe.cdef"

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

-- 64 bits in 64 bits: only the sign may not fit.
local function check_wide(type, value, path)
  if type.signed and ffi.istype("uint64_t", value) and value > 0x7fffffffffffffffULL then
    misfit(path, "%s does not fit: it takes up to 9223372036854775807LL", tostring(value))
  elseif not type.signed and ffi.istype("int64_t", value) and value < 0 then
    misfit(path, "%s does not fit: it takes no negative numbers", tostring(value))
  end
  return value
end

local function check_integer(type, value, path)
  if type_of(value) == "cdata" then
    local number = tonumber(value)
    if not number then misfit(path, "is not a number") end
    if type.size == 8 then return check_wide(type, value, path) end
    value = number
  end
  if type_of(value) ~= "number" then misfit(path, "is a %s, not a number", type_of(value)) end
  local least, most = M.range(type)
  if value ~= math.floor(value) then misfit(path, "%s is not a whole number", value) end
  if value < least or value > most then
    misfit(path, "%.0f does not fit: it takes %.0f to %.0f", value, least, most)
  elseif math.abs(value) > EXACT then
    misfit(path, "%.0f may not be the number that was written, since numbers beyond 2^53 have gaps: write it as %s", value,
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
local function copied(types, address, type, value)
  if type_of(value) ~= "cdata" or not ffi.istype(types:ctype(type.id), value) then return false end
  ffi.copy(address, value, type.size)
  return true
end

local function write_string(address, type, value, path)
  if type_of(value) ~= "string" then misfit(path, "is a %s, not a string", type_of(value)) end
  if #value >= type.count then
    misfit(path, "%d characters do not fit into char[%d], which holds %d", #value, type.count, type.count - 1)
  end
  if value:find("\0", 1, true) then misfit(path, "holds a NUL character") end
  ffi.fill(address, type.count)
  ffi.copy(address, value, #value)
end

local function write_array(types, address, type, value, path)
  if copied(types, address, type, value) then return end
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

local function write_members(types, address, type, value, path)
  if copied(types, address, type, value) then return end
  if type_of(value) ~= "table" then misfit(path, "is a %s, not a table", type_of(value)) end
  for name, field in pairs(value) do
    local member = types:fields(type)[name]
    local field_path = ("%s.%s"):format(path, tostring(name))
    if not member then misfit(field_path, "%s %s has no such member", type.kind, type.name) end
    if member.bit_size then
      local width = { size = member.bit_size / 8, signed = types:get(member.type_id).signed }
      ffi.cast(types:pointer(type.id), address)[0][name] = check_integer(width, field, field_path)
    else
      write(types, address + member.offset, member.type_id, field, field_path)
    end
  end
end

function write(types, address, id, value, path)
  local type = types:get(id)
  local kind = type.kind
  if M.is_char_array(types, type) then return write_string(address, type, value, path) end
  if kind == "array" then return write_array(types, address, type, value, path) end
  if kind == "struct" or kind == "union" then return write_members(types, address, type, value, path) end
  if kind == "ptr" then
    value = ffi.cast("void *", ffi.cast("uintptr_t", check_integer({ size = 8 }, value, path)))
  elseif kind == "enum" then
    value = enum_number(type, value, path)
  elseif type.bool then
    if type_of(value) ~= "boolean" then misfit(path, "is a %s, not a boolean", type_of(value)) end
  elseif kind == "int" and type.size <= 8 then
    value = check_integer(type, value, path)
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

--- Writes a Lua value into memory that may end up half written.
-- @return as write
function M.fill(types, address, id, value, name)
  local ok, reason = pcall(write, types, address, id, value, name)
  if ok then return true end
  if type(reason) ~= "table" then error(reason, 0) end
  return nil, ("%s: %s"):format(reason.path, reason.reason)
end

--- Writes a Lua value into memory, all of it or nothing.
-- @param types the luaprobe.types of the object
-- @param address where, as a pointer
-- @tparam number id the BTF type
-- @param value see the table above
-- @tparam string name what the value is called in messages
-- @return true, or nil and the reason, which begins with the name of the value or its field: then nothing was written
function M.write(types, address, id, value, name)
  local size = types:get(id).size
  local copy = ffi.new("uint8_t[?]", size)
  ffi.copy(copy, address, size)
  local ok, reason = M.fill(types, ffi.cast(uint8_pointer, copy), id, value, name)
  if ok then ffi.copy(address, copy, size) end
  return ok, reason
end

--- Reads memory as a Lua value.
-- @param types the luaprobe.types of the object
-- @param address where, as a pointer
-- @tparam number id the BTF type
function M.read(types, address, id)
  local type = types:get(id)
  address = ffi.cast(uint8_pointer, address)
  if M.is_char_array(types, type) then
    return ffi.string(address, C.lp_text_length(ffi.cast("const char *", address), type.count))
  elseif type.kind == "array" then
    local result, size = {}, types:get(type.of).size
    for i = 1, type.count do result[i] = M.read(types, address + (i - 1) * size, type.of) end
    return result
  elseif type.kind == "struct" or type.kind == "union" then
    local result, whole = {}, ffi.cast(types:pointer(id), address)
    for name, member in pairs(types:fields(type)) do
      if member.bit_size then
        result[name] = M.integer(whole[0][name])
      else
        result[name] = M.read(types, address + member.offset, member.type_id)
      end
    end
    return result
  end
  local value = ffi.cast(types:pointer(id), address)[0]
  if type.kind == "ptr" then return M.integer(ffi.cast("uintptr_t", value)) end
  if type.kind == "int" and type.size > 8 then return ffi.string(address, type.size) end
  return M.integer(value)
end

return M
