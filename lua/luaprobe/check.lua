--- Whether scripts would run on this machine: `luaprobe check`.
-- @module luaprobe.check
local clang = require "luaprobe.clang"
local err = require "luaprobe.error"
local find = require "luaprobe.find"
local json = require "luaprobe.json"
local machine = require "luaprobe.machine"
local needed = require "luaprobe.needed"
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

-- What libbpf attaches by the section's name alone. Programs of other sections (xdp, tc, socket, cgroup…, syscall) are
-- run by other means, and have no target.
local BY_SECTION = {}
for word in ("fmod_ret fmod_ret.s freplace lsm lsm.s iter iter.s fentry.s fexit.s kprobe.session uprobe.session"
  .. " uprobe.session.s"):gmatch "%S+" do
  BY_SECTION[word] = true
end

local function has_target(program)
  return program.target ~= nil and (program.kind ~= "section" or BY_SECTION[program.section:match "^%??([%w_.]+)"])
end

-- The kernel looks at the name of a raw tracepoint only when the program begins to run there.
local function check_raw_tracepoint(program)
  local name = program.target:match "^raw_tracepoint:(.*)$"
  if not name or machine.has_function("__traceiter_" .. name) ~= false then return end
  err.raise { code = "ENOENT", stage = "attach", where = false,
    message = ("%s: this kernel has no such raw tracepoint"):format(program.target),
    hint = "their names are those of tracepoints, without the category: sudo ls /sys/kernel/tracing/events/*" }
end

-- The probe is opened, which proves that its target exists, and closed again: no program runs. Mechanism multi only
-- finds out when the program begins to run whether the kernel has it.
local function resolve(program)
  check_raw_tracepoint(program)
  local probe = program:open_probe({})
  local ok, failure = pcall(function()
    if probe.mechanism == "multi" and machine.has_multi(program.target) == false then probe:leave_multi() end
  end)
  probe:detach()
  if not ok then error(failure, 0) end
end

local function load_alone(opened, program)
  for _, other in ipairs(opened.programs) do other:set_autoload(other == program) end
  opened:load()
end

-- One program, in an object of its own: a kernel that refuses one takes the others all the same.
local function check_program(item, index)
  local opened = object.open(item)
  local program = opened.programs[index]
  local result = { object = item.name, name = program.name, section = program.section,
    target = has_target(program) and program.target or nil }
  local load = try(load_alone, opened, program)
  local attach = result.target and try(resolve, program)
  result.loads, result.attaches = load == nil, result.target ~= nil and attach == nil
  local failure = load or attach
  if failure then result.reason, result.mend = failure.message, failure.hint end
  opened:close()
  return result
end

local function check_object(item, list)
  local opened = object.open(item)
  local count = #opened.programs
  opened:close()
  for index = 1, count do list[#list + 1] = check_program(item, index) end
end

-- The object that would be used for an item here: as lp.open and lp.compile choose it.
local function object_of(item, source)
  local found
  if source and item.flags then
    found = source:block(item.source, item.flags)
    if not found and not clang.find() then
      err.raise { code = "ENOENT", stage = "compile", where = false,
        message = ("this BPF program is C text, %s, and there is no clang here to compile it"):format(
          source:missing_message(true)),
        hint = "pack it again where clang is: luaprobe pack" }
    end
  elseif source and not item.is_path and not item.failure then
    found = source:object(item.name)
  end
  return { name = item.name, bytes = found and found.bytes or needed.bytes(item, clang.here) }
end

local function check_item(item, source, list)
  local failure = try(function() check_object(object_of(item, source), list) end)
  if not failure then return end
  list[#list + 1] = { object = item.name, name = item.name, loads = false, attaches = false, reason = failure.message,
    mend = failure.hint }
end

--- Checks each program of a script, without running the script and without enabling a probe.
-- @treturn {table,…} `{object, name, section, target, loads, attaches, reason, mend}`; without `section` for an object
--   that there is none of
-- @treturn {string,…} notes: what the script loads that its text does not tell
-- @raise error of stage "read" or "pack"
function M.script(what)
  local content, name, path = find.read_script(what)
  local source, list = packed.open(name, content), {}
  local items, notes = needed.of(name, path, pack.bare(name, content))
  for _, item in ipairs(items) do check_item(item, source, list) end
  if #list == 0 then
    notes[#notes + 1] = #notes == 0 and "it has no BPF programs" or "no BPF program of it is known, so none was checked"
  end
  return list, notes
end

local STATES = { [true] = "yes", [false] = "NO" }

local function show_machine(rows)
  for _, row in ipairs(rows) do
    print(("%-4s %-20s %s"):format(STATES[row.there] or "?", row.name, text.of(row.what)))
    if row.mend then print(("     %-20s %s"):format("", text.of(row.mend))) end
  end
end

local INDENT = (" "):rep(32)

local function show_programs(rows)
  for _, row in ipairs(rows) do
    local state = row.loads and row.attaches and "yes" or "NO"
    local target = row.target or row.section and row.section .. ", which says no target" or "is not there"
    print(("%-4s %-26s %s"):format(state, text.of(row.name), text.of(target)))
    if row.reason then print(INDENT .. text.paragraph(row.reason, INDENT)) end
    if row.mend then print(INDENT .. text.paragraph(row.mend, INDENT)) end
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
  local rows, notes
  if what then rows, notes = M.script(what) else rows = machine.look() end
  if as_json then
    json.print(setmetatable(rows, json.list))
  else
    (what and show_programs or show_machine)(rows)
  end
  for _, note in ipairs(notes or {}) do
    (as_json and io.stderr or io.stdout):write("note: ", text.paragraph(note, "  "), "\n")
  end
  if not what then return machine_runs(rows) end
  return all_run(rows) and (#rows > 0 or #notes == 1) -- of what is not known nothing can be promised
end

return M
