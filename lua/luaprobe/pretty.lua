--- Values as people read them: structs with their members' names, enumerators by name, `char` arrays as strings.
-- @module luaprobe.pretty
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local layout = require "luaprobe.layout"
local text = require "luaprobe.text"
local cdata_of = require "luaprobe.cdata"
local value = require "luaprobe.value"

local type_of = type

local M = {}

local DEPTH = 6     -- levels below the value itself
local ELEMENTS = 64 -- of an array or a table
local WIDTH = 100   -- columns; what fits stays on one line
local byte_pointer = ffi.typeof "uint8_t *"

-- What is being written: settings, and the tables that the current one is inside of.
local Writer = {}
Writer.__index = Writer

local write

-- "{ a, b }" on one line if it fits, otherwise one part on each.
function Writer:block(head, parts)
  if #parts == 0 then return head .. "{}" end
  local line = ("%s{ %s }"):format(head, table.concat(parts, ", "))
  if #line + 2 * self.level <= WIDTH and not line:find "\n" then return line end
  local indent = ("  "):rep(self.level)
  return ("%s{\n%s  %s,\n%s}"):format(head, indent, table.concat(parts, ",\n" .. indent .. "  "), indent)
end

function Writer:too_deep(head)
  return self.level >= self.depth and head .. "{ … }"
end

local function quoted(string)
  return '"' .. tostring(text.of(string)):gsub('"', '\\"') .. '"'
end

local function hexadecimal(number)
  return number == 0 and "NULL" or ("0x%s"):format(bit.tohex(0ULL + number):gsub("^0+", ""))
end

local digits = value.digits

-- ---- what BTF describes --------------------------------------------------------------------------------------------

local described

local function enumerator(type, number)
  local name = type.names[value.key(number)]
  return name and ("%s (%s)"):format(name, digits(number)) or digits(number)
end

-- 128 bits and more: their bytes as one number.
local function large(bytes)
  return "0x" .. bytes:reverse():gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)
end

-- What luaprobe.value read of a type that has no parts.
local function scalar(type, read)
  if type_of(read) == "string" then return type.kind == "int" and large(read) or quoted(read) end
  if type_of(read) == "boolean" then return tostring(read) end
  if type.kind == "enum" then return enumerator(type, read) end
  if type.kind == "ptr" then return hexadecimal(read) end
  return digits(read)
end

local function elements(writer, types, address, type)
  local parts, size = {}, types:get(type.of).size
  for i = 0, math.min(type.count, ELEMENTS) - 1 do
    parts[#parts + 1] = described(writer, types, address + i * size, type.of)
  end
  if type.count > ELEMENTS then parts[#parts + 1] = ("… %d more"):format(type.count - ELEMENTS) end
  return parts
end

local function array(writer, types, address, type)
  if value.is_char_array(types, type) then
    return quoted(ffi.string(address, C.lp_text_length(ffi.cast("const char *", address), type.count)))
  end
  return writer:too_deep "" or writer:block("", writer:inside(elements, types, address, type))
end

local function bits(types, address, type, member)
  local number = ffi.cast(types:pointer(type.id), address)[0][member.name]
  local of = types:get(member.type_id)
  return of.kind == "enum" and enumerator(of, number) or digits(number)
end

local function members(writer, types, address, type, parts, size)
  for _, member in ipairs(type.members) do
    local of = types:get(member.type_id)
    local open = value.open_array(types, type, member, size)
    if open then
      parts[#parts + 1] = ("%s = %s"):format(member.name, array(writer, types, address + member.offset, open))
    elseif member.name == "" and of.members then
      members(writer, types, address + member.offset, of, parts)
    elseif member.bit_size then
      parts[#parts + 1] = ("%s = %s"):format(member.name, bits(types, address, type, member))
    else
      parts[#parts + 1] = ("%s = %s"):format(member.name,
        described(writer, types, address + member.offset, member.type_id))
    end
  end
  return parts
end

-- The value of a BTF type at an address; `size`: bytes that there are, where it may end in an array without a length.
function described(writer, types, address, id, size)
  local type = types:get(id)
  if type.kind == "array" then return array(writer, types, address, type) end
  if type.members then
    local head = writer.level == 0 and type.name ~= "" and ("%s %s "):format(type.kind, type.name) or ""
    return writer:too_deep(head) or writer:block(head, writer:inside(members, types, address, type, {}, size))
  end
  return scalar(type, value.read(types, address, id))
end

-- How large the record of an event is; nil for everything else, and where no map of events was looked at.
local function size_of(cdata)
  local record = package.loaded["luaprobe.record"]
  return record and record.size(cdata)
end

-- ---- what Lua has --------------------------------------------------------------------------------------------------

local function by_kind_and_size(a, b)
  local one, other = type_of(a), type_of(b)
  if one ~= other then return one < other end
  if one == "number" or one == "string" then return a < b end
  return tostring(a) < tostring(b)
end

local function key_text(key)
  if type_of(key) == "string" and key:find "^[%a_][%w_]*$" then return key .. " = " end
  return ("[%s] = "):format(type_of(key) == "string" and quoted(key) or type_of(key) == "number" and digits(key)
    or tostring(key))
end

-- The type of what a table that stands for a struct or an array has under a key; nil where none is known.
local function type_under(type, key)
  if not type then return nil end
  if type.kind == "array" then return type.types:get(type.of) end
  local member = type.members and type.types:fields(type)[key]
  return member and type.types:get(member.type_id)
end

local function entries(writer, list, type)
  local parts, keys = {}, {}
  for i = 1, math.min(#list, ELEMENTS) do parts[i] = write(writer, list[i], type_under(type, i)) end
  if #list > ELEMENTS then parts[#parts + 1] = ("… %d more"):format(#list - ELEMENTS) end
  for key in pairs(list) do
    if type_of(key) ~= "number" or key < 1 or key > #list or key % 1 ~= 0 then keys[#keys + 1] = key end
  end
  table.sort(keys, by_kind_and_size)
  for i = 1, math.min(#keys, ELEMENTS) do
    parts[#parts + 1] = key_text(keys[i]) .. write(writer, list[keys[i]], type_under(type, keys[i]))
  end
  if #keys > ELEMENTS then parts[#parts + 1] = ("… %d more"):format(#keys - ELEMENTS) end
  return parts
end

function Writer:inside(make, ...)
  self.level = self.level + 1
  local result = make(self, ...)
  self.level = self.level - 1
  return result
end

local function from_table(writer, list, type)
  local meta = getmetatable(list)
  if meta and meta.__tostring then return tostring(list) end
  if writer.seen[list] then return "{ itself }" end
  if writer:too_deep "" then return writer:too_deep "" end
  writer.seen[list] = true
  local parts = writer:inside(entries, list, type or value.type_of(list))
  writer.seen[list] = nil
  return writer:block("", parts)
end

local function from_cdata(writer, cdata)
  if cdata == nil then return "NULL" end -- tostring of a struct's pointer would come here again
  if cdata_of.is_type(cdata) then return tostring(cdata) end
  local type, address = M.describe(cdata)
  if type then return described(writer, type.types, address, type.id, size_of(cdata)) end
  if ffi.istype("uint64_t", cdata) or ffi.istype("int64_t", cdata) then return digits(cdata) end
  local parts = M.elements(cdata, ELEMENTS)
  if type_of(parts) == "string" then return quoted(parts) end
  if not parts then return tostring(cdata) end
  for i, part in ipairs(parts) do parts[i] = write(writer, part) end
  return writer:block("", parts)
end

local IS_READ = { number = true, string = true, boolean = true, cdata = true } -- what memory without parts is read as

-- Any value; `type`: that of the memory that it was read from, where it is known.
function write(writer, any, type)
  local kind = type_of(any)
  if kind == "table" then return from_table(writer, any, type) end
  if type and IS_READ[kind] then return scalar(type, any) end
  if kind == "string" then return quoted(any) end
  if kind == "cdata" then return from_cdata(writer, any) end
  if kind == "number" then return digits(any) end
  return tostring(any)
end

--- The BTF description of a struct, or of what a pointer to one points at.
-- @treturn table|nil a description of luaprobe.types
-- @treturn cdata|nil its address
function M.describe(cdata)
  local tag, reference = cdata_of.type_name(cdata):match "^(%a+ [%w_]+) ?([&*]?)$"
  local type = tag and layout.described[tag]
  if not type or reference == "*" and cdata == nil then return nil end
  return type, ffi.cast(byte_pointer, cdata)
end

--- The elements of an array of FFI's as a list, or a string where they are characters.
-- @treturn table|string|nil nil for what is no array
function M.elements(cdata, most)
  local element, count, rest = cdata_of.type_name(cdata):match "^(.-) ?%(?&?%)?%[(%d+)%]([%[%]%d]*)$"
  local size = element and ffi.sizeof(cdata)
  if not size then return nil end
  if element == "char" and rest == "" then
    local pointer = ffi.cast("const char *", cdata)
    return ffi.string(pointer, C.lp_text_length(pointer, size))
  end
  local list = {}
  count = tonumber(count)
  for i = 0, math.min(count, most or count) - 1 do list[i + 1] = cdata[i] end
  return list
end

local OPTIONS = { depth = true }

local function depth_of(opts)
  if opts == nil then return DEPTH end
  if type_of(opts) ~= "table" then err.misuse("lp.pretty takes a table of options, not a %s", type_of(opts)) end
  for name in pairs(opts) do
    if not OPTIONS[name] then err.misuse("lp.pretty has no option '%s'; it has depth", tostring(name)) end
  end
  local depth = opts.depth
  if depth == nil then return DEPTH end
  if type_of(depth) ~= "number" or depth ~= depth or depth < 0 then
    err.misuse("lp.pretty: depth is a number from 0 on, not %s", tostring(depth))
  end
  return depth
end

--- Any value as text.
-- @param any a struct out of an event or a map, a table, whatever Lua has
-- @tparam[opt] table opts `depth`: how many levels below the value itself are shown (6)
-- @treturn string
function M.text(any, opts)
  return write(setmetatable({ level = 0, depth = depth_of(opts), seen = {} }, Writer), any)
end

--- Prints any value. Objects, programs and maps are described.
-- @param any
-- @tparam[opt] table opts see text
function M.print(any, opts)
  local describe = type_of(any) == "table" and getmetatable(any) and any.describe
  io.stdout:write(describe and any:describe() or M.text(any, opts), "\n")
end

local to_table

-- Tables that are in themselves, or in several places, are so in the copy too.
local function copy_of(list, copies)
  if copies[list] then return copies[list] end
  local copy = {}
  copies[list] = copy
  for key, each in pairs(list) do copy[key] = to_table(each, copies) end
  return copy
end

function to_table(any, copies)
  if type_of(any) == "table" then return copy_of(any, copies) end
  if type_of(any) ~= "cdata" or any == nil or cdata_of.is_type(any) then return any end
  local type, address = M.describe(any)
  if type then return value.read(type.types, address, type.id, size_of(any)) end
  local list = M.elements(any)
  if type_of(list) == "table" then return copy_of(list, copies) end
  return list or value.integer(any)
end

--- A struct or an array as a Lua table: members by name, anonymous ones in line; numbers and strings as luaprobe.value
-- reads them. Tables are copied, with all that is in them.
-- @param any
-- @return a table, or what was given where there is nothing to take apart
function M.totable(any)
  return to_table(any, {})
end

return M
