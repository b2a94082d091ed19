--- The running kernel's types, by their C names.
-- @module luaprobe.kernel
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local loaded = require "luaprobe.modules"
local types = require "luaprobe.types"

local M = {}

local of_vmlinux
local of_modules -- list of { name =, types = }, opened when vmlinux does not have a type
local generation -- of the modules when they were opened
local found = {} -- those of vmlinux, by name

--- The types of the kernel proper.
-- @treturn luaprobe.types
-- @raise error of stage "types" where the kernel ships none and --btf names no file
function M.types()
  if not of_vmlinux then of_vmlinux = types.new(err.check(C.lp_btf_kernel())) end
  return of_vmlinux
end

--- Takes a file's types for the kernel's (--btf, LUAPROBE_BTF), here and when objects are loaded.
-- @raise error of stage "types" when it holds none
function M.use(path)
  err.check(C.lp_btf_kernel_use(path))
  of_vmlinux, of_modules, found = nil, nil, {}
end

local function module_names()
  local names = {}
  local pipe = io.popen "ls /sys/kernel/btf 2>/dev/null"
  for name in pipe:lines() do
    if name ~= "vmlinux" then names[#names + 1] = name end
  end
  pipe:close()
  return names
end

-- The types of the loaded modules, in the order of their names.
local function modules()
  local now = loaded.generation()
  if of_modules and generation == now then return of_modules end
  of_modules, generation = {}, now
  for _, name in ipairs(module_names()) do
    local btf = C.lp_btf_module(name)
    if btf ~= nil then of_modules[#of_modules + 1] = { name = name, types = types.new(ffi.gc(btf, C.lp_btf_free)) } end
  end
  return of_modules
end

--- Finds a type of the kernel or of a loaded module: "struct task_struct", "enum pid_type", "pid_t", "int",
-- "long unsigned int" (as its compiler spells it), "func vfs_read".
-- @treturn table|nil its description, see luaprobe.types.get; its `types` has what members refer to
-- @raise error of stage "types"
function M.find(name)
  if type(name) ~= "string" then err.misuse("a type is given by its name, not as a %s", type(name)) end
  found[name] = found[name] or M.types():find(name)
  if found[name] then return found[name] end
  for _, module in ipairs(modules()) do
    local known = module.types:find(name)
    if known then return known end
  end
  return nil
end

--- Finds a type of one module.
-- @tparam string module
-- @tparam string name as find takes it
-- @treturn table|nil
function M.find_in(module, name)
  for _, each in ipairs(modules()) do
    if each.name == module then return each.types:find(name) end
  end
end

return M
