--- Types that no BTF describes: registers of user space, fields of tracepoints, what every event has.
--
-- They look like luaprobe.types as far as luaprobe.fetch asks: get and declaration.
-- @module luaprobe.primitive
local kernel = require "luaprobe.kernel"

local M = {}

local Types = {}
Types.__index = Types

function Types:get(id)
  return self[id]
end

function Types:declaration(id)
  return self[id].name
end

-- The types of a list, the first one being what is meant.
local function new(...)
  local types = setmetatable({ ... }, Types)
  for id, type in ipairs(types) do type.id, type.types = id, types end
  return { types = types, id = 1 }
end

--- An integer.
function M.integer(name, size, signed)
  return new { kind = "int", name = name, size = size, signed = signed or false }
end

--- An array of integers, characters for example.
function M.array(name, size, signed, count)
  return new({ kind = "array", name = ("%s[%d]"):format(name, count), size = size * count, of = 2, count = count },
    { kind = "int", name = name, size = size, signed = signed, char = name == "char" })
end

--- A pointer to a struct of the kernel, or to something that is not known.
function M.pointer(tag)
  local name = tag and ("struct %s *"):format(tag) or "void *"
  if not tag then return new { kind = "ptr", name = name, size = 8, of = 0 } end
  return new({ kind = "ptr", name = name, size = 8, of = 2 }, { kind = "fwd", name = tag, size = 0 })
end

-- "int" as BTF has it; "" where the kernel tells no types.
local function known(name)
  local ok, type = pcall(kernel.find, name)
  if ok and type then return type end
  if name == "int" then return { kind = "int", size = 4, signed = true } end
end

--- The type of a tracepoint's field.
-- @tparam string declaration as the format file has it, without the field's name: "const char *", "umode_t"
-- @tparam number size bytes
-- @tparam boolean signed
-- @tparam[opt] number count of an array's elements
function M.of_field(declaration, size, signed, count)
  local name = declaration:gsub("%f[%w]const%f[%W]", ""):gsub("%f[%w]volatile%f[%W]", ""):match "^%s*(.-)%s*$"
  if count then return M.array(name, size / count, signed, count) end
  if name:find "%*" then return M.pointer(name:match "^struct ([%w_]+) ?%*$") end
  local type = known(name)
  if type and type.kind == "enum" then return type end
  -- A system call's `int` is kept in 8 bytes, of which 4 mean something.
  if type and type.kind == "int" and type.size < size then return M.integer(name, type.size, type.signed) end
  return M.integer(name, size, signed)
end

return M
