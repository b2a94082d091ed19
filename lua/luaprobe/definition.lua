--- A type's definition as C writes it, with the offset of each member in bytes.
-- @module luaprobe.definition
local value = require "luaprobe.value"

local M = {}

local INDENT = "    "

local function place(member, base)
  local bits = base + member.bit_offset
  if not member.bit_size then return tostring(bits / 8) end
  return ("%d:%d"):format(math.floor(bits / 8), bits % 8)
end

local function add_members(lines, type, indent, base)
  for _, member in ipairs(type.members) do
    local of = type.types:get(member.type_id)
    if of.members and of.name == "" then
      lines[#lines + 1] = ("%s%s {"):format(indent, of.kind)
      add_members(lines, of, indent .. INDENT, base + member.bit_offset)
      lines[#lines + 1] = ("%s}%s;"):format(indent, member.name ~= "" and " " .. member.name or "")
    else
      local declaration = type.types:declaration(member.type_id, member.name)
      if member.bit_size then declaration = ("%s : %d"):format(declaration, member.bit_size) end
      lines[#lines + 1] = ("%-52s /* %s */"):format(indent .. declaration .. ";", place(member, base))
    end
  end
end

local function add_enumerators(lines, type)
  local names = {}
  for name in pairs(type.values) do names[#names + 1] = name end
  table.sort(names, function(a, b)
    local one, other = type.values[a], type.values[b]
    if one == other then return a < b end
    return one < other
  end)
  for _, name in ipairs(names) do
    lines[#lines + 1] = ("%s%s = %s,"):format(INDENT, name, value.digits(type.values[name]))
  end
end

--- The definition of a struct, union or enumeration; the declaration of anything else.
-- @param type a description of luaprobe.types
-- @treturn string
function M.of(type)
  if type.kind == "func" then return type.types:declaration(type.of, type.name) end
  if not type.members and not type.values then
    return ("%s /* %d bytes */"):format(type.types:declaration(type.id), type.size)
  end
  local head = type.name ~= "" and type.kind .. " " .. type.name or type.kind
  local lines = { ("%s { /* %d bytes */"):format(head, type.size) }
  if type.values then add_enumerators(lines, type) else add_members(lines, type, INDENT, 0) end
  lines[#lines + 1] = "}"
  return table.concat(lines, "\n")
end

return M
