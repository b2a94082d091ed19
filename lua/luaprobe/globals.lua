--- Global variables of a BPF program as fields of a Lua table.
--
-- `obj.const.NAME` is read-only data: set before load, a constant to the verifier. `obj.data.NAME` is everything else:
-- initial values before load, and after it the program's own memory, so that reading costs no system call.
-- `obj.kconfig.NAME` is what a program asked of the kernel's configuration (`extern … __kconfig`), known after load.
--
-- A struct or an array comes as a table, a copy of the memory at that moment, which Lua's own pairs and # work with.
-- Lua does not tell us when a member of such a table is assigned: `obj.data.totals.count = 0` changes the copy and
-- nothing else. Assigning to the variable writes what the table names, as deep as it goes, and leaves the rest as it
-- is: `obj.data.totals = { count = 0 }`, `obj.data.matrix = { [2] = { [3] = 9 } }`.
-- @module luaprobe.globals
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local value = require "luaprobe.value"

local M = {}

-- Which sections hold a sort of variables.
local SORTS = {
  constant = function(datasec) return datasec:find "^%.rodata" end,
  variable = function(datasec) return not datasec:find "^%.rodata" and datasec ~= ".kconfig" end,
  option = function(datasec) return datasec == ".kconfig" end,
}

-- All variables of a sort: by name { map, offset, type_id }.
local function variables(object, sort)
  local found = {}
  for _, map in ipairs(object.maps) do
    local section = map.datasec and SORTS[sort](map.datasec) and object.types:find("datasec " .. map.datasec)
    for _, member in ipairs(section and section.members or {}) do
      found[member.name] = { map = map, offset = member.offset, type_id = member.type_id }
    end
  end
  return found
end

local function names_of(list)
  local names = {}
  for name in pairs(list) do names[#names + 1] = name end
  table.sort(names)
  return #names > 0 and table.concat(names, ", ") or "none"
end

local function refuse(object, what, reason)
  err.raise { code = "EINVAL", stage = "open", message = ("%s: %s %s"):format(object.name, what, reason) }
end

local function misfit(object, what, name, reason)
  refuse(object, what, ("'%s': %s"):format(name, reason))
end

-- Its address, which stays the same when the object is loaded: the kernel's memory takes the place of the initial
-- values. libbpf 1.1 has no memory for sections that grew.
local function find_address(variable)
  local info = variable.map:info()
  if info.globals == nil then return nil end
  variable.address = ffi.cast("uint8_t *", info.globals) + variable.offset
  return variable.address
end

--- Where a variable is, for C to look at it.
-- @treturn cdata|nil `uint8_t *`, nil when the object has no such variable
-- @treturn number|nil how many elements it has, when it is an array
function M.address(object, name)
  local variable = variables(object, "variable")[name]
  local address = variable and find_address(variable)
  if not address then return nil end
  return address, object.types:get(variable.type_id).count
end

local function is_number(type)
  return (type.kind == "int" or type.kind == "enum") and type.size <= 8 or type.kind == "float"
end

-- Numbers are read by hot loops, so their pointer is kept. FFI could take such a read out of a compiled loop, which
-- would then never see a change; lp_data_changes is a call, behind which nothing is known to be the same.
local function read(object, variable)
  local pointer = variable.pointer
  if pointer then
    C.lp_data_changes()
    return value.integer(pointer[0])
  end
  local address = find_address(variable)
  if not address then return nil end
  local type = object.types:get(variable.type_id)
  if is_number(type) then
    variable.pointer = ffi.cast(object.types:pointer(type.id), address)
    return value.integer(variable.pointer[0])
  end
  return value.remember(value.read(object.types, address, variable.type_id), type)
end

local function check_writable(object, sort, name)
  if sort == "option" then misfit(object, sort, name, "the kernel's configuration is only read") end
  if sort == "constant" and object.loaded then
    misfit(object, sort, name, "it can only be set before the object is loaded")
  end
end

--- The variables of an object as a table that reads and writes the object's memory.
-- @param object the luaprobe.object
-- @tparam string sort "constant" (`.rodata*`), "variable" (`.data*`, `.bss*`) or "option" (`.kconfig`)
-- @raise on writing: no such variable, a value that does not fit, a constant after load
function M.new(object, sort)
  local found = variables(object, sort)
  local proxy = {}

  function proxy.__index(_, name)
    if not object.handle then object:check_open() end
    local variable = found[name]
    return variable and read(object, variable)
  end

  function proxy.__newindex(_, name, new)
    object:check_open()
    local variable = found[name]
    if not variable then
      misfit(object, sort, tostring(name), ("the object has no such %s; it has: %s"):format(sort, names_of(found)))
    end
    check_writable(object, sort, name)
    local address = find_address(variable) or misfit(object, sort, name, "it is not in memory yet: load the object")
    local ok, reason = value.write(object.types, address, variable.type_id, new, name)
    if not ok then refuse(object, sort, reason) end
  end

  --- For completion.
  function proxy.__names()
    local names = {}
    for name in pairs(found) do names[#names + 1] = name end
    return names
  end

  return setmetatable({}, proxy)
end

return M
