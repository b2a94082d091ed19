--- Types: an object's BTF as Lua tables and FFI types.
--
-- Each type is described by a table `{kind, name, size, …}` and has, on demand, an FFI type of exactly the layout that
-- BTF gives (luaprobe.layout).
-- @module luaprobe.types
local ffi = require "ffi"
local bit = require "bit"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local layout = require "luaprobe.layout"
local takes = require "luaprobe.takes"
local value = require "luaprobe.value"

-- BTF_KIND_* of <linux/btf.h>
local KINDS = {
  [0] = "void", [1] = "int", [2] = "ptr", [3] = "array", [4] = "struct", [5] = "union", [6] = "enum", [7] = "fwd",
  [12] = "func", [13] = "func_proto", [14] = "var", [15] = "datasec", [16] = "float", [17] = "decl_tag", [19] = "enum",
}
-- Those that can be asked for by name: "struct event"; and those whose names have no such word: typedefs, integers and
-- floats, spelled as the compiler spells them.
local NUMBERS = { struct = 4, union = 5, enum = 6, typedef = 8, func = 12, datasec = 15 }
local PLAIN = { 8, 1, 16 }
local VARIABLE = 14
local INT_SIGNED, INT_BOOL = 1, 4 -- BTF_INT_*

local Types = {}

-- `types["struct event"]` is types:find "struct event".
function Types.__index(self, key)
  if Types[key] ~= nil then return Types[key] end
  return type(key) == "string" and Types.find(self, key) or nil
end

-- For completion: its types have no names that a "." could stand before, `types["struct ` has.
function Types.__names()
  return { "find" }
end

local raw_type = ffi.new "struct lp_type"
local raw_member = ffi.new "struct lp_member"
local raw_enumerator = ffi.new "struct lp_enumerator"
local declaration_buffer = ffi.new "char[1024]"

-- One type. Its definition in C, with offsets, is only for people.
local Type = {}

function Type:__tostring()
  return require("luaprobe.definition").of(self)
end

local function broken(id)
  err.raise { code = "EINVAL", stage = "types", message = ("type %d of the object's BTF is damaged"):format(id) }
end

local function members_of(self, id, count)
  local members = {}
  for i = 0, count - 1 do
    if not C.lp_btf_member(self.btf, id, i, raw_member) then broken(id) end
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

-- Members are read when somebody asks for them: it costs a microsecond or two each, and who looks a type up often wants
-- no more than its size.
function Type:__index(key)
  local count = key == "members" and rawget(self, "unread")
  if not count then return nil end
  local members = members_of(self.types, self.id, count)
  self.members, self.unread = members, nil
  return members
end

-- For completion.
function Type:__names()
  local names = { self.members and "members" }
  for key in pairs(self) do
    if key ~= "members" then names[#names + 1] = key end
  end
  return names
end

local function enumerators_of(self, id, count, signed)
  local values, names = {}, {}
  for i = 0, count - 1 do
    if not C.lp_btf_enumerator(self.btf, id, i, raw_enumerator) then broken(id) end
    local name, number = ffi.string(raw_enumerator.name), value.integer(raw_enumerator.value)
    if not signed and type(number) == "cdata" then number = ffi.cast("uint64_t", number) end
    values[name] = number
    local key = value.key(number)
    names[key] = names[key] or name
  end
  return values, names
end

--- The description of a type by its BTF id.
-- @treturn table `{id, kind, name, size}`, besides: `signed`, `bool`, `char` (int); `of`, `count` (array); `members`
--   (struct, union, datasec: `{name, type_id, offset, bit_offset, bit_size}`, offsets in bytes and bits); `values`,
--   `names` (enum: number by name, name by number; luaprobe.value.key makes the key of numbers beyond 2^53); `of`
--   (pointer, variable, function, what a prototype returns); `parameters` (func_proto: as members);
--   tostring gives its definition as C writes it, with offsets
function Types:get(id)
  local known = self.by_id[id]
  if known then return known end
  if not C.lp_btf_type(self.btf, id, raw_type) then broken(id) end
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
    type.values, type.names = enumerators_of(self, id, count, type.signed)
  elseif type.kind == "struct" or type.kind == "union" or type.kind == "datasec" then
    type.unread = count
  elseif type.kind == "array" then
    type.of, type.count = of, count
  elseif type.kind == "ptr" or type.kind == "var" or type.kind == "func" then
    type.of = of
  elseif type.kind == "func_proto" then
    type.of, type.parameters = of, members_of(self, id, count)
  end
  type.types = self
  return setmetatable(type, Type)
end

local function find_id(self, numbers, name)
  for _, number in ipairs(numbers) do
    local id = C.lp_btf_find(self.btf, number, name)
    if id ~= 0 then return id end
  end
end

--- Finds a type by its C name: "struct event", "enum state", a typedef's name, "int", "long unsigned int".
-- @treturn table|nil its description
function Types:find(name)
  takes.method(Types, self, "find")
  if type(name) ~= "string" then err.misuse("a type is given by its name, not as a %s", type(name)) end
  if self.empty then return nil end
  local kind, tag = name:match "^(%a+)%s+([%w_.]+)$"
  local number = NUMBERS[kind]
  local id = find_id(self, number and { number } or PLAIN, number and tag or name)
  return id and self:get(id) or nil
end

--- Whether there is a global variable of that name.
function Types:has_variable(name)
  return not self.empty and C.lp_btf_find(self.btf, VARIABLE, name) ~= 0
end

--- The members of a struct or union by name, those of its anonymous members among them, as C reaches them.
-- @treturn table by name `{type_id, offset, bit_offset, bit_size}`, counted from the start of `type`
function Types:fields(type)
  if type.fields then return type.fields end
  local fields = {}
  for _, member in ipairs(type.members) do
    local of = member.name == "" and self:get(member.type_id)
    if not of then
      fields[member.name] = member
    elseif of.members then
      for name, inner in pairs(self:fields(of)) do
        local bit_offset = member.bit_offset + inner.bit_offset
        fields[name] = { name = name, type_id = inner.type_id, bit_size = inner.bit_size, inner = true,
          bit_offset = bit_offset, offset = bit.rshift(bit_offset, 3) }
      end
    end
  end
  type.fields = fields
  return fields
end

--- The FFI type of a BTF id; enums are integers, pointers are `void *`, 128-bit integers are bytes.
function Types:ctype(id)
  local type = self:get(id)
  if not type.ctype then type.ctype = layout.typeof(self, id, "") end
  return type.ctype
end

--- The same without any part that can be written, as events are.
function Types:constant(id)
  local type = self:get(id)
  if not type.constant then type.constant = layout.typeof(self, id, "", true) end
  return type.constant
end

--- The FFI type of a pointer to a BTF id.
function Types:pointer(id)
  local type = self:get(id)
  if not type.pointer then type.pointer = layout.typeof(self, id, "*") end
  return type.pointer
end

--- The FFI type of a pointer to a BTF id through which nothing can be written.
function Types:view(id)
  local type = self:get(id)
  if not type.view then type.view = layout.typeof(self, id, "*", true) end
  return type.view
end

--- How C declares something of a type: "const char *name".
-- @tparam number id as a member or a variable has it: typedefs are kept
-- @tparam[opt] string name
function Types:declaration(id, name)
  C.lp_btf_declaration(self.btf, id, name or "", declaration_buffer, ffi.sizeof(declaration_buffer))
  return ffi.string(declaration_buffer)
end

local M = {}

--- Whether a value is the description of a type.
function M.is(any)
  return getmetatable(any) == Type
end

--- The types of one object, or of the kernel.
-- @param btf a `struct lp_btf *`, which is kept as long as the types are; nil when there is none: then no type is found
function M.new(btf)
  return setmetatable({ btf = btf, by_id = {}, empty = btf == nil }, Types)
end

return M
