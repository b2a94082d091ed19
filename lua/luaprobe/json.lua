--- Values as JSON, one line each (NDJSON), with real types.
--
-- | Lua | JSON |
-- | --- | --- |
-- | number; 64-bit integer that a double holds exactly (below 2^53) | number |
-- | 64-bit integer beyond | string of digits |
-- | NaN, infinity, nil | null |
-- | boolean | boolean |
-- | string, `char` array of an event (up to its NUL) | string |
-- | table with 1, 2, … as keys, array of an event | array |
-- | other table, struct of an event | object |
-- | pointer | string: "0x10" |
-- | other FFI data: number or enumeration; anything else | number; string, as tostring has it |
--
-- A byte of a string that is not part of UTF-8 is written as the character U+EF00 + byte, so every parser takes the
-- line and the bytes can be had back; such a character itself is taken for three bytes. See lp_json_escape.
-- @module luaprobe.json
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local cdata = require "luaprobe.cdata"
local err = require "luaprobe.error"
local layout = require "luaprobe.layout"
local value_of = require "luaprobe.value"

local M = {}

local DEPTH = 64 -- of tables in tables: one that holds itself would have no end
local UNBOUNDED = 65536 -- a record is never longer, and the buffers end in zeros (runtime/ring.c)
local int64, uint64 = ffi.typeof "int64_t", ffi.typeof "uint64_t"
local char_pointer, byte_pointer = ffi.typeof "const char *", ffi.typeof "uint8_t *"
local void_pointer = ffi.typeof "void *"

-- Reused by every string; grows to what was needed most.
local scratch_size = 4096
local scratch = ffi.new("char[?]", scratch_size)

local function string_of(address, length)
  if length * 6 > scratch_size then
    scratch_size = length * 6
    scratch = ffi.new("char[?]", scratch_size)
  end
  return '"' .. ffi.string(scratch, C.lp_json_escape(address, length, scratch)) .. '"'
end

local function number(value)
  if value ~= value or value == math.huge or value == -math.huge then return "null" end
  if value == math.floor(value) and value > -2 ^ 53 and value < 2 ^ 53 then return ("%.0f"):format(value) end
  return ("%.17g"):format(value)
end

local function integer(value)
  local small = value_of.integer(value)
  if type(small) == "number" then return number(small) end
  return '"' .. tostring(value):gsub("U?LL$", "") .. '"'
end

local function address_of(value)
  return '"' .. cdata.address(value) .. '"'
end

local encode, struct

-- An array in memory. One of characters without a length, in a record of which no size is known, ends at its NUL.
local function array_in(types, address, array, depth)
  local inner = types:get(array.of)
  if inner.char then
    local text = ffi.cast(char_pointer, address)
    return string_of(text, tonumber(C.lp_text_length(text, array.count > 0 and array.count or UNBOUNDED)))
  end
  local parts = {}
  for i = 0, array.count - 1 do parts[i + 1] = struct(types, address + i * inner.size, inner, depth - 1) end
  return "[" .. table.concat(parts, ",") .. "]"
end

-- The inside of an object for a struct or union, in the order of its members; those of anonymous ones are its own.
local function members(types, address, type, depth, parts, size)
  local fields = types:fields(type)
  for _, member in ipairs(type.members) do
    local place, inner = address + member.offset, types:get(member.type_id)
    local open = value_of.open_array(types, type, member, size)
    if open then
      parts[#parts + 1] = ('"%s":%s'):format(member.name, array_in(types, place, open, depth))
    elseif member.name == "" then
      members(types, place, inner, depth, parts)
    elseif member.bit_size then
      local value = ffi.cast(types:pointer(type.id), address)[0][member.name]
      parts[#parts + 1] = ('"%s":%s'):format(member.name, encode(fields[member.name] and value, depth))
    else
      parts[#parts + 1] = ('"%s":%s'):format(member.name, struct(types, place, inner, depth))
    end
  end
  return parts
end

-- A value in memory, as its BTF type says; `size`: bytes that there are, where it may end in an array without a length.
function struct(types, address, type, depth, size)
  if depth == 0 then err.misuse("JSON: types in types, %d deep", DEPTH) end
  if type.kind == "struct" or type.kind == "union" then
    return "{" .. table.concat(members(types, address, type, depth - 1, {}, size), ",") .. "}"
  end
  if type.kind == "array" then return array_in(types, address, type, depth) end
  local value = value_of.read(types, address, type.id)
  if type.kind == "ptr" then return address_of(ffi.cast(void_pointer, value)) end
  return encode(value, depth)
end

local known = {} -- BTF's description, by the number of the FFI type, or false

-- The BTF type of a struct out of an event, or false.
local function btf_type(value)
  local number_of = tonumber(ffi.typeof(value))
  if known[number_of] == nil then
    local tag = cdata.type_name(value):match "^(%a+ [%w_]+) ?[*&]?$"
    known[number_of] = tag and layout.described[tag] or false
  end
  return known[number_of]
end

-- How large the record of an event is; nil for everything else, and where no map of events was looked at.
local function size_of(value)
  local record = package.loaded["luaprobe.record"]
  return record and record.size(value)
end

local function text(value, is_array)
  if value == nil then return "null" end
  local size = is_array and ffi.sizeof(value)
  local address = ffi.cast(char_pointer, value)
  return string_of(address, tonumber(C.lp_text_length(address, size and size > 0 and size or UNBOUNDED)))
end

local function elements(value, depth)
  local parts = {}
  for i = 0, cdata.count(value) - 1 do parts[i + 1] = encode(value[i], depth) end
  return "[" .. table.concat(parts, ",") .. "]"
end

-- A struct, or a pointer to one, of a type that BTF describes is shown by it; FFI data of other types by their kind.
local function foreign(value, depth)
  if ffi.istype(uint64, value) or ffi.istype(int64, value) then return integer(value) end
  local found = not tonumber(value) and btf_type(value) -- tonumber has one for types themselves
  if found then return struct(found.types, ffi.cast(byte_pointer, value), found, depth, size_of(value)) end
  local kind = cdata.kind(value)
  if kind == "text" or kind == "string" then return text(value, kind == "text") end
  if kind == "pointer" then return address_of(value) end
  if kind == "array" then return elements(value, depth) end
  if kind == "scalar" then return number(tonumber(value)) end
  local shown = kind == "bool" and tonumber(value) ~= 0
  return kind == "bool" and tostring(shown) or string_of(tostring(value), #tostring(value))
end

local function array(value, count, depth)
  local parts = {}
  for i = 1, count do parts[i] = encode(value[i], depth) end
  return "[" .. table.concat(parts, ",") .. "]"
end

local function object(value, depth)
  local keys, parts = {}, {}
  for key in pairs(value) do
    if type(key) ~= "string" and type(key) ~= "number" then err.misuse("JSON has no keys of type %s", type(key)) end
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for i, key in ipairs(keys) do
    local name = tostring(key)
    if i > 1 and name == tostring(keys[i - 1]) then
      err.misuse("JSON: the keys %s and %q are the same there", name, name)
    end
    parts[i] = string_of(name, #name) .. ":" .. encode(value[key], depth)
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function is_array(value)
  local count = 0
  for _ in pairs(value) do count = count + 1 end
  return count == #value and count > 0, count
end

function encode(value, depth)
  local kind = type(value)
  if kind == "string" then return string_of(value, #value) end
  if kind == "number" then return number(value) end
  if kind == "boolean" then return tostring(value) end
  if kind == "cdata" then return foreign(value, depth) end
  if kind == "nil" then return "null" end
  if kind ~= "table" then err.misuse("JSON has nothing for a %s", kind) end
  if depth == 0 then err.misuse("JSON: tables in tables, %d deep: does one hold itself?", DEPTH) end
  if getmetatable(value) == M.list then return array(value, #value, depth - 1) end
  local list, count = is_array(value)
  if list then return array(value, count, depth - 1) end
  return object(value, depth - 1)
end

--- Marks a table as an array, also when it is empty: `setmetatable({}, json.list)`.
M.list = {}

--- A value as JSON text, without a line end.
-- @param value see the table of luaprobe.json
-- @raise a misuse for functions, and for tables that hold themselves
function M.encode(value)
  return encode(value, DEPTH)
end

--- Prints a value as one line of JSON.
--
--     lp.json { pid = event.pid, path = event.path, bytes = 18446744073709551615ULL }
function M.print(value)
  io.stdout:write(encode(value, DEPTH), "\n")
end

-- Source of a function for exactly these columns, as in luaprobe.columns.
local ROW = [[
local out, encode = ...
return function(_, %s)
  out:write(%s, "}\n")
end]]

-- The key of a title, which no other column has: parsers differ in what they make of a key that comes twice.
local function key_of(title, taken)
  local key = title:lower():gsub("[^%w]", "_")
  local unique, number_of = key, 1
  while taken[unique] do
    number_of = number_of + 1
    unique = ("%s_%d"):format(key, number_of)
  end
  taken[unique] = true
  return unique
end

--- What prints the rows of luaprobe.columns as objects: "PID" is their key "pid".
-- @tparam {string,…} titles
-- @tparam {number,…} positions which of the row's values each title is for
-- @tparam number count how many values a row has
function M.row(titles, positions, count)
  local parameters, parts, taken = {}, {}, {}
  for i = 1, count do parameters[i] = "v" .. i end
  for i, title in ipairs(titles) do
    local key = key_of(title, taken)
    parts[i] = ("'%s\"%s\":', encode(v%d)"):format(i == 1 and "{" or ",", key, positions[i])
  end
  local source = ROW:format(table.concat(parameters, ", "), table.concat(parts, ", "))
  return assert(loadstring(source, "@lua/luaprobe/json.lua: row"))(io.stdout, M.encode)
end

return M
