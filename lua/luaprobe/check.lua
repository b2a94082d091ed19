--- Whether scripts would run on this machine: `luaprobe check`.
-- @module luaprobe.check
local clang = require "luaprobe.clang"
local err = require "luaprobe.error"
local find = require "luaprobe.find"
local json = require "luaprobe.json"
local machine = require "luaprobe.machine"
local object = require "luaprobe.object"
local pack = require "luaprobe.pack"
local packed = require "luaprobe.packed"
local text = require "luaprobe.text"

local M = {}

-- Runs a step; nil, or the error as `{message, hint}`.
local function try(fn, ...)
  local ok, failure = pcall(fn, ...)
  if ok then return nil end
  if err.is(failure) then return { message = failure.message, hint = failure.hint } end
  return { message = tostring(failure) }
end

-- The probe is opened, which proves that its target exists, and closed again: no program runs.
local function resolve(program)
  program:open_probe({}):detach()
end

local function load_alone(opened, program)
  for _, other in ipairs(opened.programs) do other:set_autoload(other == program) end
  opened:load()
end

-- One program, in an object of its own: a kernel that refuses one takes the others all the same.
local function check_program(item, index)
  local opened = object.open(item)
  local program = opened.programs[index]
  local result = { object = item.name, name = program.name, section = program.section, target = program.target }
  local load = try(load_alone, opened, program)
  local attach = program.target and try(resolve, program)
  result.loads, result.attaches = load == nil, program.target ~= nil and attach == nil
  local failure = load or attach
  if failure then result.reason, result.mend = failure.message, failure.hint end
  opened:close()
  return result
end

-- The objects that the script would use here.
local function objects_of(source, name, path, script)
  local list = {}
  if source then
    for _, entry in ipairs(source.entries) do
      if entry.arch == clang.here then list[#list + 1] = { name = entry.name, bytes = source:bytes(entry) } end
    end
    if #list == 0 then
      err.raise { code = "ENOENT", stage = "read", where = false,
        message = ("%s: nothing is packed in it for this machine, which is %s"):format(name, clang.here),
        hint = "pack it for this machine, too: luaprobe pack --arch" }
    end
    return list
  end
  for _, item in ipairs(pack.items(name, path, script)) do
    list[#list + 1] = { name = item.name, bytes = (pack.bytes(item, clang.here)) }
  end
  return list
end

--- Checks each program of a script, without running the script and without enabling a probe.
-- @treturn {table,…} `{object, name, section, target, loads, attaches, reason, mend}`
-- @raise error of stage "read", "open", "compile" or "pack"
function M.script(what)
  local content, name, path = find.read_script(what)
  local source = packed.open(name, content)
  local list = {}
  for _, item in ipairs(objects_of(source, name, path, pack.bare(name, content))) do
    local opened = object.open(item)
    local count = #opened.programs
    opened:close()
    for index = 1, count do list[#list + 1] = check_program(item, index) end
  end
  return list
end

local STATES = { [true] = "yes", [false] = "NO" }

local function show_machine(rows)
  for _, row in ipairs(rows) do
    print(("%-4s %-20s %s"):format(STATES[row.there] or "?", row.name, text.of(row.what)))
    if row.mend then print(("     %-20s %s"):format("", text.of(row.mend))) end
  end
end

local function show_programs(rows)
  for _, row in ipairs(rows) do
    local state = row.loads and row.attaches and "yes" or "NO"
    local target = row.target or row.section .. ", which says no target"
    print(("%-4s %-26s %s"):format(state, text.of(row.name), text.of(target)))
    if row.reason then print(("     %-26s %s"):format("", text.of(row.reason))) end
    if row.mend then print(("     %-26s %s"):format("", text.of(row.mend))) end
  end
end

-- Objects none of whose programs would run: scripts have programs for several kernels, of which one will do.
local function all_run(rows)
  local good, objects = {}, {}
  for _, row in ipairs(rows) do
    objects[row.object] = true
    good[row.object] = good[row.object] or row.loads and (row.attaches or not row.target)
  end
  for name in pairs(objects) do
    if not good[name] then return false end
  end
  return true
end

local function machine_runs(rows)
  for _, row in ipairs(rows) do
    if row.needed and row.there == false then return false end
  end
  return true
end

--- `luaprobe check [SCRIPT]`.
-- @tparam[opt] string what a script; without one the machine is checked
-- @tparam[opt] boolean as_json
-- @treturn boolean whether luaprobe can trace here at all; of a script, whether each of its objects has a program that
--   would load and attach
function M.run(what, as_json)
  local rows = what and M.script(what) or machine.look()
  if as_json then
    json.print(setmetatable(rows, json.list))
  elseif what then
    show_programs(rows)
  else
    show_machine(rows)
  end
  return (what and all_run or machine_runs)(rows)
end

return M
