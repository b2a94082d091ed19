--- Types: an object's BTF as Lua tables and FFI types.
--
-- Each type is described by a table `{kind, name, size, …}` and has, on demand, an FFI type of exactly the layout that
-- BTF gives. FFI's own names are global to the process and refuse a second, different `struct event`, so every type
-- here gets a tag of its own (`struct event_12`). Types are spelled out as text, without FFI's `$` parameters: test
-- runners remember what ffi.typeof returned by that text alone.
-- @module luaprobe.types
local ffi = require "ffi"
local bit = require "bit"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"

-- BTF_KIND_* of <linux/btf.h>
local KINDS = {
  [0] = "void", [1] = "int", [2] = "ptr", [3] = "array", [4] = "struct", [5] = "union", [6] = "enum", [7] = "fwd",
  [12] = "func", [13] = "func_proto", [14] = "var", [15] = "datasec", [16] = "float", [19] = "enum",
}
-- Those that can be asked for by name: "struct event".
local NUMBERS = { struct = 4, union = 5, enum = 6, typedef = 8, datasec = 15 }
local INT_SIGNED, INT_BOOL = 1, 4 -- BTF_INT_*

local Types = {}

-- `types["struct event"]` is types:find "struct event".
function Types.__index(self, key)
  if Types[key] ~= nil then return Types[key] end
  return type(key) == "string" and Types.find(self, key) or nil
end

local raw_type = ffi.new "struct lp_type"
local raw_member = ffi.new "struct lp_member"
local raw_enumerator = ffi.new "struct lp_enumerator"
local serial = 0 -- makes the tags unique
local by_tag = setmetatable({}, { __mode = "v" }) -- descriptions, each with the `types` it is of

-- BTF is freed with its object.
local function btf_of(self)
  return self.btf or err.misuse "these types are of an object that is closed"
end

local function broken(id)
  err.raise { code = "EINVAL", stage = "types", message = ("type %d of the object's BTF is damaged"):format(id) }
end

local function members_of(self, id, count)
  local members = {}
  for i = 0, count - 1 do
    if not C.lp_btf_member(btf_of(self), id, i, raw_member) then broken(id) end
    members[i + 1] = {
      name = ffi.string(raw_member.name),
      type_id = raw_member.type,
      bit_offset = raw_member.bit_offset,
      offset = bit.rshift(raw_member.bit_offset, 3),
      bit_size = raw_member.bit_size > 0 and raw_member.bit_size or nil,
    }
  end
  return members
end

local function enumerators_of(self, id, count)
  local values, names = {}, {}
  for i = 0, count - 1 do
    if not C.lp_btf_enumerator(btf_of(self), id, i, raw_enumerator) then broken(id) end
    local name, value = ffi.string(raw_enumerator.name), tonumber(raw_enumerator.value)
    values[name], names[value] = value, names[value] or name
  end
  return values, names
end

--- The description of a type by its BTF id.
-- @treturn table `{id, kind, name, size}`, besides: `signed`, `bool`, `char` (int); `of`, `count` (array); `members`
--   (struct, union, datasec: `{name, type_id, offset, bit_offset, bit_size}`, offsets in bytes and bits); `values`,
--   `names` (enum: number by name, name by number); `of` (pointer, variable)
function Types:get(id)
  local known = self.by_id[id]
  if known then return known end
  if not C.lp_btf_type(btf_of(self), id, raw_type) then broken(id) end
  local type = {
    id = raw_type.id,
    kind = KINDS[raw_type.kind] or "unknown",
    name = ffi.string(raw_type.name),
    size = raw_type.size,
  }
  local count, encoding, of = raw_type.count, raw_type.encoding, raw_type.of
  self.by_id[id] = type
  if type.kind == "int" or type.kind == "enum" then
    type.signed = bit.band(encoding, INT_SIGNED) ~= 0
    type.bool = type.kind == "int" and bit.band(encoding, INT_BOOL) ~= 0
    type.char = type.kind == "int" and type.size == 1 and type.name == "char"
  end
  if type.kind == "enum" then
    type.values, type.names = enumerators_of(self, id, count)
  elseif type.kind == "struct" or type.kind == "union" or type.kind == "datasec" then
    type.members = members_of(self, id, count)
  elseif type.kind == "array" then
    type.of, type.count = of, count
  elseif type.kind == "ptr" or type.kind == "var" then
    type.of = of
  end
  return type
end

--- Finds a type by its C name: "struct event", "enum state", or a typedef's name.
-- @treturn table|nil its description
function Types:find(name)
  local kind, tag = name:match "^(%a+)%s+([%w_.]+)$"
  if not kind then kind, tag = "typedef", name end
  local number = not self.empty and NUMBERS[kind]
  local id = number and C.lp_btf_find(btf_of(self), number, tag) or 0
  return id ~= 0 and self:get(id) or nil
end

--- The members of a struct or union by name, those of its anonymous members among them, as C reaches them.
-- @treturn table by name `{type_id, offset, bit_offset, bit_size}`, counted from the start of `type`
function Types:fields(type)
  if type.fields then return type.fields end
  local fields = {}
  for _, member in ipairs(type.members) do
    if member.name ~= "" then
      fields[member.name] = member
    else
      for name, inner in pairs(self:fields(self:get(member.type_id))) do
        local bit_offset = member.bit_offset + inner.bit_offset
        fields[name] = { name = name, type_id = inner.type_id, bit_size = inner.bit_size,
          bit_offset = bit_offset, offset = bit.rshift(bit_offset, 3) }
      end
    end
  end
  type.fields = fields
  return fields
end

-- The FFI types of numbers, by size. 128-bit integers are bytes.
local UNSIGNED = { [1] = "uint8_t", [2] = "uint16_t", [4] = "uint32_t", [8] = "uint64_t" }
local SIGNED = { [1] = "int8_t", [2] = "int16_t", [4] = "int32_t", [8] = "int64_t" }
local FLOATS = { [4] = "float", [8] = "double" }

local function number_name(type)
  if type.bool then return "bool" end
  if type.char then return "char" end
  return (type.signed and SIGNED or UNSIGNED)[type.size]
end

-- What fills the gap between two members: whole bytes and, beside bit-fields, bits.
local function padding(from, to)
  local parts = {}
  local bits = math.min(bit.band(8 - bit.band(from, 7), 7), to - from)
  local bytes = bit.rshift(to - from - bits, 3)
  local rest = to - from - bits - bytes * 8
  if bits > 0 then parts[#parts + 1] = ("uint8_t : %d;"):format(bits) end
  if bytes > 0 then parts[#parts + 1] = ("uint8_t lp_gap_%d[%d];"):format(from, bytes) end
  if rest > 0 then parts[#parts + 1] = ("uint8_t : %d;"):format(rest) end
  return table.concat(parts, " ")
end

local declare, body

-- One member's declaration, and how many bits it takes.
local function declare_member(self, member)
  local type = self:get(member.type_id)
  if member.name == "" then return ("%s %s;"):format(type.kind, body(self, type)), type.size * 8 end
  if member.bit_size then
    return ("%s : %d;"):format(declare(self, member.type_id, member.name), member.bit_size), member.bit_size
  end
  return declare(self, member.type_id, member.name) .. ";", type.size * 8
end

local function is_flexible(self, member)
  return member ~= nil and member.name ~= "" and self:get(member.type_id).count == 0
end

-- Members are placed by explicit gaps in a packed type, so no rule of alignment is relied on.
function body(self, type)
  local lines, place, members = {}, 0, type.members
  local is_struct = type.kind == "struct"
  for _, member in ipairs(members) do
    if is_struct then lines[#lines + 1] = padding(place, member.bit_offset) end
    local declaration, bits = declare_member(self, member)
    lines[#lines + 1] = declaration
    place = member.bit_offset + bits
  end
  -- C allows nothing behind a flexible array.
  if is_struct and not is_flexible(self, members[#members]) then lines[#lines + 1] = padding(place, type.size * 8) end
  return ("{ %s } __attribute__((packed))"):format(table.concat(lines, " "))
end

-- FFI's layout must be BTF's to the bit, or reading would lie.
local function check_layout(self, type, ctype)
  for name, field in pairs(self:fields(type)) do
    local offset, position, size = ffi.offsetof(ctype, name)
    if not offset or offset * 8 + (position or 0) ~= field.bit_offset or size and size ~= field.bit_size then
      err.raise { code = "ENOTSUP", stage = "types",
        message = ("%s %s: member %s cannot be laid out as the object has it"):format(type.kind, type.name, name) }
    end
  end
end

-- The tag under which FFI knows a struct or union, declared on first use.
local function tag_of(self, type)
  if type.tag then return type.tag end
  local text = body(self, type) -- declares what it contains first
  local tag
  repeat -- whatever made a tag before, even another copy of this module, FFI remembers it
    serial = serial + 1
    tag = ("%s %s_%d"):format(type.kind, type.name ~= "" and type.name or "anonymous", serial)
  until not pcall(ffi.typeof, tag)
  ffi.cdef(("%s %s;"):format(tag, text))
  type.tag = tag
  type.entry = { types = self, type = type }
  by_tag[tag] = type.entry
  check_layout(self, type, ffi.typeof(tag))
  return tag
end

-- The declaration of a variable of a type; its name can also be "", or "*" for a pointer.
function declare(self, id, name)
  local type = self:get(id)
  local kind = type.kind
  if kind == "array" then
    if name:sub(1, 1) == "*" then name = "(" .. name .. ")" end
    return declare(self, type.of, ("%s[%s]"):format(name, type.count > 0 and type.count or ""))
  end
  if kind == "struct" or kind == "union" then return tag_of(self, type) .. " " .. name end
  -- What a pointer points at is in the kernel or in another process: only its value means something here.
  if kind == "ptr" then return "void *" .. name end
  local number = (kind == "int" or kind == "enum") and number_name(type) or kind == "float" and FLOATS[type.size]
  if number then return number .. " " .. name end
  return ("uint8_t %s[%d]"):format(name, type.size)
end

--- The FFI type of a BTF id; enums are integers, pointers are `void *`, 128-bit integers are bytes.
function Types:ctype(id)
  local type = self:get(id)
  if not type.ctype then type.ctype = ffi.typeof(declare(self, id, "")) end
  return type.ctype
end

--- The FFI type of a pointer to a BTF id.
function Types:pointer(id)
  local type = self:get(id)
  if not type.pointer then type.pointer = ffi.typeof(declare(self, id, "*")) end
  return type.pointer
end

--- Makes every later use a misuse instead of a look into freed memory.
function Types:close()
  self.btf = false
end

local M = {}

--- The BTF type of a struct or union that FFI calls by a tag: "struct event_12".
-- @treturn table|nil `types`, `type`
function M.of_tag(tag)
  return by_tag[tag]
end

--- The types of one object.
-- @param btf the `struct btf *` of an open object; nil when it has none: then no type is found
function M.new(btf)
  return setmetatable({ btf = btf or false, by_id = {}, empty = btf == nil }, Types)
end

return M
