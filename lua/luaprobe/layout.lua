--- FFI types of exactly the layout that BTF gives.
--
-- FFI's own names are global to the process and refuse a second, different `struct event`, so every type here gets a
-- tag of its own (`struct event_12`). Types are spelled out as text, without FFI's `$`: test runners remember
-- what ffi.typeof returned by that text alone.
-- @module luaprobe.layout
local ffi = require "ffi"
local bitfield = require "luaprobe.bitfield"
local err = require "luaprobe.error"

local M = {}

local byte_pointer = ffi.typeof "uint8_t *"
local LONGEST = 65536 -- bytes of an array without a length: records are never longer
local serial = 0 -- makes the tags unique

-- Two FFI types of each struct. Of the constant one no part can be written: FFI's own `const struct` protects members,
-- but not what is in those that are arrays or structs. `tags` of the structs that were declared are kept by signature:
-- the same struct of two objects is one FFI type. `type[tag]` is where a description keeps its own.
local WRITABLE = { const = "", tag = "tag", tags = {} }
local CONSTANT = { const = "const ", tag = "constant_tag", tags = {} }

--- Descriptions of structs and unions by the tag under which FFI knows them.
M.described = {}

--- By tag, what answers for a member that the type does not have: function(value, name). Events have some of their own
-- (luaprobe.record).
M.extensions = {}

-- The FFI types of numbers, by size. 128-bit integers are bytes.
local UNSIGNED = { [1] = "uint8_t", [2] = "uint16_t", [4] = "uint32_t", [8] = "uint64_t" }
local SIGNED = { [1] = "int8_t", [2] = "int16_t", [4] = "int32_t", [8] = "int64_t" }
local FLOATS = { [4] = "float", [8] = "double" }

local function number_name(type)
  if type.bool and type.size == 1 then return "bool" end
  if type.char then return "char" end
  return (type.signed and SIGNED or UNSIGNED)[type.size]
end

-- FFI's parser says no to what an object of another language, or a damaged one, can hold: names that C cannot have,
-- arrays beyond all memory.
local function told(type, call, text)
  local ok, result = pcall(call, text)
  if ok then return result end
  err.raise { code = "ENOTSUP", stage = "types",
    message = ("%s %s of the object cannot be declared in C: %s"):format(type.kind, type.name, result) }
end

local declare, body

local function is_last(parent, member)
  return parent.kind == "struct" and parent.members[#parent.members] == member
end

-- What FFI cannot declare in its place: bit-fields, and arrays of no length that are not at the very end (padding may
-- come behind). The type's metatable reads them.
local function is_beyond_ffi(types, parent, member, is_inner)
  if member.bit_size then return true end
  local type = types:get(member.type_id)
  if type.kind ~= "array" or type.count > 0 then return false end
  return is_inner or not is_last(parent, member) or member.bit_offset ~= parent.size * 8
end

-- What has no name is reached by the names in it.
local function is_nothing(types, member)
  local kind = member.name == "" and types:get(member.type_id).kind
  return kind and kind ~= "struct" and kind ~= "union"
end

local function declare_member(form, types, member)
  local type = types:get(member.type_id)
  if member.name == "" then return ("%s %s;"):format(type.kind, body(form, types, type, true)) end
  return declare(form, types, member.type_id, member.name) .. ";"
end

local function gap(from, to)
  local bytes = (to - from) / 8
  return bytes > 0 and ("uint8_t lp_gap_%d[%d];"):format(from / 8, bytes) or ""
end

-- Members are placed by explicit gaps in a packed type, so no rule of alignment is relied on.
function body(form, types, type, is_inner)
  local lines, place = {}, 0
  local is_struct = type.kind == "struct"
  local ends_open = false
  for _, member in ipairs(type.members) do
    if not is_nothing(types, member) and not is_beyond_ffi(types, type, member, is_inner) then
      if is_struct then lines[#lines + 1] = gap(place, member.bit_offset) end
      lines[#lines + 1] = declare_member(form, types, member)
      local of = types:get(member.type_id)
      ends_open = of.kind == "array" and of.count == 0
      place = member.bit_offset + of.size * 8
    end
  end
  -- C allows nothing behind a flexible array. A union is as large as its largest member.
  if not ends_open then lines[#lines + 1] = gap(is_struct and place or 0, type.size * 8) end
  return ("{ %s } __attribute__((packed))"):format(table.concat(lines, " "))
end

-- The fields of a type that its metatable must read, by name.
local function fields_beyond_ffi(form, types, type)
  local found
  for name, field in pairs(types:fields(type)) do
    local of = types:get(field.type_id)
    if field.bit_size then
      found = found or {}
      found[name] = { bit_offset = field.bit_offset, bit_size = field.bit_size, signed = of.signed, bool = of.bool }
    elseif is_beyond_ffi(types, type, field, field.inner) then
      found = found or {}
      local count = math.max(1, math.floor(LONGEST / math.max(1, types:get(of.of).size)))
      found[name] = { offset = field.offset,
        pointer = told(type, ffi.typeof, declare(form, types, of.of, ("(*)[%d]"):format(count))) }
    end
  end
  return found
end

-- What people call a tag's type.
local function named(tag)
  return (tag:gsub("_%d+$", ""))
end

local function no_member(tag, name)
  err.misuse("%s has no member '%s'", named(tag), tostring(name))
end

-- What reads and writes FFI's own members, by name, made when first asked for; false for other names. LuaJIT 2.1
-- compiles `struct[name]` with a name that FFI does not know so that the name is not looked at again (in lj_crecord.c a
-- trace depends on the names of fields only): then __index is called for members that FFI knows as well.
local function own_members(members)
  return setmetatable({}, { __index = function(made, name)
    made[name] = members[name] ~= nil and {
      get = loadstring(("local struct = ... return struct[%q]"):format(name)),
      set = loadstring(("local struct, new = ... struct[%q] = new"):format(name)),
    }
    return made[name]
  end })
end

-- `fields` are those of the members that FFI does not know. It calls newindex for what can be written only.
local function accessors(tag, fields, members)
  local extensions, own = M.extensions, own_members(members)
  local function index(self, name)
    local field = fields[name]
    if not field then
      if own[name] then return own[name].get(self) end
      local extension = extensions[tag]
      if extension then return extension(self, name) end
      no_member(tag, name)
    end
    local bytes = ffi.cast(byte_pointer, self)
    if field.pointer then return ffi.cast(field.pointer, bytes + field.offset)[0] end
    local number = bitfield.read(bytes, field)
    if field.bool then return number ~= 0 end
    return number
  end
  local function newindex(self, name, number)
    local field = fields[name]
    if not field and own[name] then return own[name].set(self, number) end
    if not field then no_member(tag, name) end
    if field.pointer then err.misuse("%s of %s is an array: assign its elements", name, named(tag)) end
    if not field.bool and (type(number) == "string" or not tonumber(number)) then
      err.misuse("%s of %s is a number, not a %s", name, named(tag), type(number))
    end
    bitfield.write(ffi.cast(byte_pointer, self), field, field.bool and (number and number ~= 0 and 1 or 0) or number)
  end
  return index, newindex
end

-- FFI's layout must be BTF's to the byte, or reading would lie.
local function check_layout(types, type, ctype, beyond)
  if ffi.sizeof(ctype) ~= type.size then
    err.raise { code = "ENOTSUP", stage = "types",
      message = ("%s %s cannot be laid out as the object has it"):format(type.kind, type.name) }
  end
  for name, field in pairs(types:fields(type)) do
    if not (beyond and beyond[name]) and ffi.offsetof(ctype, name) ~= field.offset then
      err.raise { code = "ENOTSUP", stage = "types",
        message = ("%s %s: member %s cannot be laid out as the object has it"):format(type.kind, type.name, name) }
    end
  end
end

local function new_tag(type)
  local tag
  repeat -- whatever made a tag before, even another copy of this module, FFI remembers it
    serial = serial + 1
    tag = ("%s %s_%d"):format(type.kind, type.name ~= "" and type.name:gsub("[^%w_]", "_") or "anonymous", serial)
  until not pcall(ffi.typeof, tag)
  return tag
end

-- The enumerators of an enumeration, as text.
local function enumerators(type)
  local parts = {}
  for name, number in pairs(type.values) do parts[#parts + 1] = name .. "=" .. tostring(number) end
  table.sort(parts)
  return table.concat(parts, ",")
end

--- All that is known of a type, as text: two types are the same if and only if theirs are. What a pointer points at
-- counts by its name.
-- @param types a luaprobe.types
-- @tparam number id
function M.signature(types, id)
  local type = types:get(id)
  if type.signature then return type.signature end
  local parts = { type.kind, type.name, type.size, tostring(type.signed), tostring(type.bool), tostring(type.char) }
  if type.values then parts[#parts + 1] = enumerators(type) end
  if type.kind == "array" then parts[#parts + 1] = ("[%d] %s"):format(type.count, M.signature(types, type.of)) end
  if type.kind == "ptr" then parts[#parts + 1] = types:declaration(id) end
  for _, member in ipairs(type.members or {}) do
    parts[#parts + 1] = ("{%s %d %s %s}"):format(member.name, member.bit_offset, tostring(member.bit_size),
      M.signature(types, member.type_id))
  end
  type.signature = table.concat(parts, " ")
  return type.signature
end

local function declare_struct(form, types, type)
  local key = M.signature(types, type.id)
  if form.tags[key] then return form.tags[key] end
  local text = body(form, types, type) -- declares what it contains first
  local beyond = fields_beyond_ffi(form, types, type)
  local tag = new_tag(type)
  told(type, ffi.cdef, ("%s %s;"):format(tag, text))
  check_layout(types, type, ffi.typeof(tag), beyond)
  local index, newindex = accessors(tag, beyond or {}, types:fields(type))
  ffi.metatype(tag, { __index = index, __newindex = newindex, __tostring = M.show })
  form.tags[key], M.described[tag] = tag, type
  return tag
end

-- The declaration of a variable of a type; its name can also be "", or "*" for a pointer.
function declare(form, types, id, name)
  local type = types:get(id)
  local kind = type.kind
  if kind == "array" then
    if name:sub(1, 1) == "*" then name = "(" .. name .. ")" end
    return declare(form, types, type.of, ("%s[%s]"):format(name, type.count > 0 and type.count or ""))
  end
  if kind == "struct" or kind == "union" then
    type[form.tag] = type[form.tag] or declare_struct(form, types, type)
    return ("%s%s %s"):format(form.const, type[form.tag], name)
  end
  -- What a pointer points at is in the kernel or in another process: only its value means something here.
  if kind == "ptr" then return ("void *%s%s"):format(form.const, name) end
  local number = (kind == "int" or kind == "enum") and number_name(type) or kind == "float" and FLOATS[type.size]
  if number then return ("%s%s %s"):format(form.const, number, name) end
  if name:sub(1, 1) == "*" then name = "(" .. name .. ")" end
  return ("%suint8_t %s[%d]"):format(form.const, name, type.size)
end

--- The FFI type of a BTF id (`name` ""), or of a pointer to it ("*"); `is_constant`: through which nothing is written.
-- @raise error of stage "types" when FFI cannot have such a type
function M.typeof(types, id, name, is_constant)
  return told(types:get(id), ffi.typeof, declare(is_constant and CONSTANT or WRITABLE, types, id, name))
end

--- tostring of a struct: luaprobe.pretty, which most runs do not need.
function M.show(struct)
  return require("luaprobe.pretty").text(struct)
end

return M
