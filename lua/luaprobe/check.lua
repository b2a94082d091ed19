--- Whether scripts would run on this machine: `luaprobe check`.
-- @module luaprobe.check
local clang = require "luaprobe.clang"
local err = require "luaprobe.error"
local find = require "luaprobe.find"
local json = require "luaprobe.json"
local machine = require "luaprobe.machine"
local needed = require "luaprobe.needed"
local object = require "luaprobe.object"
local one_liner = require "luaprobe.one_liner"
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
  local result = { object = item.name, name = program.name, section = program.section, kind = program.kind,
    target = has_target(program) and program.target or nil }
  local load = try(load_alone, opened, program)
  local attach = result.target and try(resolve, program)
  result.loads = load == nil
  if result.target then result.attaches = attach == nil end
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
  if item.content then return { name = item.name, bytes = item.content } end
  if source and item.flags then
    found = source:block(item.source, item.flags)
    if not found and not clang.find() then
      err.raise { code = "ENOENT", stage = "compile", where = false,
        message = ("this BPF program is C text, %s, and %s"):format(source:missing_message(true), (clang.missing())),
        hint = "pack it again where clang is: luaprobe pack" }
    end
  elseif source and not item.is_path and not item.failure then
    found = source:object(item.name)
  end
  return { name = item.name, bytes = found and found.bytes or needed.bytes(item, clang.here) }
end

-- ---- whether the script would run -------------------------------------------------------------------------------

local function passes(row)
  return row.loads and row.attaches ~= false
end

local function all(rows, test)
  for _, row in ipairs(rows) do
    if not test(row) then return false end
  end
  return true
end

local function any(rows, test)
  for _, row in ipairs(rows) do
    if test(row) then return true end
  end
  return #rows == 0
end

-- The programs of a rung, as luaprobe.ladder takes them; nil when the rung is of another object.
local function rows_of_rung(rows, rung)
  local list = {}
  for _, pattern in ipairs(type(rung) == "table" and rung or { rung }) do
    local before = #list
    for _, row in ipairs(rows) do
      if row.kind == pattern or row.target == pattern then list[#list + 1] = row end
    end
    if #list == before then return nil end
  end
  return list
end

-- Whether a rung would attach; nil when the ladder is of another object.
local function climbs(rows, ladder)
  local good = false
  for _, rung in ipairs(ladder) do
    local list = rows_of_rung(rows, rung)
    if not list then return nil end
    good = good or all(list, passes)
  end
  return good
end

-- OBJECT:attach() takes them all.
local function refuse_without_target(rows)
  for _, row in ipairs(rows) do
    if row.loads and not row.target then
      row.attaches, row.reason = false, "attach() of the whole object fails, since this section says no target"
    end
  end
end

-- Whether what the script does with an object would succeed, as far as its text tells.
local function object_runs(rows, item, attach)
  if item.loads and not attach.single and not all(rows, function(row) return row.loads end) then return false end
  if attach.count == 0 then return all(rows, function(row) return row.loads end) end
  for _, ladder in ipairs(attach.ladders) do
    local good = climbs(rows, ladder)
    if good ~= nil then return good end
  end
  if attach.single or not attach.whole then return any(rows, passes) end
  refuse_without_target(rows)
  return all(rows, passes)
end

-- Checks one item; adds its rows to the list, and returns whether it would do.
local function check_item(item, source, attach, list)
  local rows = {}
  local failure = try(function() check_object(object_of(item, source), rows) end)
  local good = not failure and object_runs(rows, item, attach)
  for _, row in ipairs(rows) do list[#list + 1] = row end
  if failure then
    list[#list + 1] = { object = item.name, name = item.name, loads = false, attaches = false,
      reason = failure.message, mend = failure.hint }
  end
  return good
end

local function check_one_liner(use, list)
  local failure = try(one_liner.try, use) or {}
  local good = failure.message == nil
  list[#list + 1] = { object = use.call, name = "lp." .. use.call, target = use.target, loads = good, attaches = good,
    reason = failure.message, mend = failure.hint }
  return good
end

-- Without privileges nothing can be loaded, which says nothing of the programs.
local function lacks_privileges(notes)
  local there, lack, mend = machine.capabilities()
  if not there then
    notes[#notes + 1] = ("nothing could be loaded, and so nothing was checked, %s: %s"):format(lack, mend)
  end
  return not there
end

local function check_object_file(name, content)
  local list, notes = {}, {}
  if lacks_privileges(notes) then return list, notes, false end
  local attach = { count = 1, ladders = {}, single = true } -- how it is attached is not known
  return list, notes, check_item({ name = name, content = content }, nil, attach, list)
end

--- Checks each program of a script, without running the script and without enabling a probe.
-- @tparam string what a script, or an object
-- @treturn {table,…} `{object, name, section, target, kind, loads, attaches, reason, mend}`; without `section` for an
--   object that there is none of, and for a one-liner; `attaches` is nil for a program whose section says no target:
--   the script attaches it, or nothing does
-- @treturn {string,…} notes: what the script loads that its text does not tell
-- @treturn boolean whether it would run, as far as its text tells: of a ladder one rung would attach, else all programs
--   that the script does not deal with one by one
-- @raise error of stage "read" or "pack"
function M.script(what)
  local content, name, path = find.read_script(what, find.OBJECT_LIMIT)
  if content:sub(1, 4) == "\127ELF" then return check_object_file(name, content) end
  local source, list = packed.open(name, content), {}
  local items, notes, found = needed.of(name, path, pack.bare(name, content))
  if #items + #found.one_liners == 0 then
    local all_is_known = #notes == 0
    notes[#notes + 1] = all_is_known and "it has no BPF programs"
      or "no BPF program of it is known, so none was checked"
    return list, notes, all_is_known -- of what is not known nothing can be promised
  end
  if lacks_privileges(notes) then return list, notes, false end
  local good = true
  for _, item in ipairs(items) do good = check_item(item, source, found.attach, list) and good end
  for _, use in ipairs(found.one_liners) do good = check_one_liner(use, list) and good end
  return list, notes, good
end

-- ---- showing it -------------------------------------------------------------------------------------------------

local STATES = { [true] = "yes", [false] = "NO" }

local function show_machine(rows)
  for _, row in ipairs(rows) do
    print(("%-4s %-20s %s"):format(STATES[row.there] or "?", row.name, text.of(row.what)))
    if row.mend then print(("     %-20s %s"):format("", text.of(row.mend))) end
  end
end

-- What becomes of a program whose section says no target.
local function where_to(row)
  return row.kind == "section" and ", which only loads here: nothing is attached by its section's name"
    or ", attached by the script"
end

local INDENT = (" "):rep(32)

local function show_programs(rows)
  for _, row in ipairs(rows) do
    local state = passes(row) and "yes" or "NO"
    local target = row.target or row.section and row.section .. where_to(row) or "is not there"
    print(("%-4s %-26s %s"):format(state, text.of(row.name), text.of(target)))
    if row.reason then print(INDENT .. text.paragraph(row.reason, INDENT)) end
    if row.mend then print(INDENT .. text.paragraph(row.mend, INDENT)) end
  end
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
-- @treturn boolean whether luaprobe can trace here at all; of a script, whether it would run, see script
function M.run(what, as_json)
  local rows, notes, runs
  if what then rows, notes, runs = M.script(what) else rows = machine.look() end
  if as_json then
    json.print(setmetatable(rows, json.list))
  else
    (what and show_programs or show_machine)(rows)
  end
  for _, note in ipairs(notes or {}) do
    (as_json and io.stderr or io.stdout):write("note: ", text.paragraph(note, "  "), "\n")
  end
  if what then return runs end
  return machine_runs(rows)
end

return M
