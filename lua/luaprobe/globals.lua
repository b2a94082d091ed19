--- Global variables of a BPF program as fields of a Lua table.
--
-- `obj.const.NAME` is read-only data: set before load, a constant to the verifier. `obj.data.NAME` is everything else:
-- initial values before load, and after it the program's own memory, so that reading costs no system call.
-- @module luaprobe.globals
local ffi = require "ffi"
local err = require "luaprobe.error"
local value = require "luaprobe.value"

local M = {}

local READ_ONLY = "^%.rodata"

local function is_wanted(datasec, read_only)
  if datasec == ".kconfig" then return false end
  return (datasec:find(READ_ONLY) ~= nil) == read_only
end

-- All variables of the wanted sections: by name { map, offset, type_id }.
local function variables(object, read_only)
  local found = {}
  for _, map in ipairs(object.maps) do
    local section = map.datasec and is_wanted(map.datasec, read_only) and object.types:find("datasec " .. map.datasec)
    for _, member in ipairs(section and section.members or {}) do
      found[member.name] = { map = map, offset = member.offset, type_id = member.type_id }
    end
  end
  return found
end

local function address_of(variable)
  local info = variable.map:info()
  return ffi.cast("uint8_t *", info.globals) + variable.offset
end

--- Where a variable of any section is, for C to look at it.
-- @treturn cdata|nil `uint8_t *`, nil when the object has no such variable
-- @treturn number|nil how many elements it has, when it is an array
function M.address(object, name)
  local variable = variables(object, false)[name] or variables(object, true)[name]
  if not variable then return nil end
  return address_of(variable), object.types:get(variable.type_id).count
end

local function names_of(list)
  local names = {}
  for name in pairs(list) do names[#names + 1] = name end
  table.sort(names)
  return #names > 0 and table.concat(names, ", ") or "none"
end

local function misfit(object, what, name, reason)
  err.raise { code = "EINVAL", stage = "open", message = ("%s: %s '%s': %s"):format(object.name, what, name, reason) }
end

--- The variables of an object as a table that reads and writes the object's memory.
-- @param object the luaprobe.object
-- @tparam boolean read_only true for `.rodata*`, false for `.data*` and `.bss*`
-- @raise on writing: no such variable, a value that does not fit, a constant after load
function M.new(object, read_only)
  local what = read_only and "constant" or "variable"
  local found = variables(object, read_only)
  local proxy = {}

  function proxy.__index(_, name)
    object:check_open()
    local variable = found[name]
    return variable and value.read(object.types, address_of(variable), variable.type_id)
  end

  function proxy.__newindex(_, name, new)
    object:check_open()
    local variable = found[name]
    if not variable then
      misfit(object, what, tostring(name), ("the object has no such %s; it has: %s"):format(what, names_of(found)))
    end
    if read_only and object.loaded then
      misfit(object, what, name, "it can only be set before the object is loaded")
    end
    local ok, reason = value.write(object.types, address_of(variable), variable.type_id, new, name)
    if not ok then misfit(object, what, name, reason) end
  end

  return setmetatable({}, proxy)
end

return M
