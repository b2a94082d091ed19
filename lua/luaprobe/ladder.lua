--- Ladders: sets of programs, the best first, of which the first that the kernel can attach is taken.
--
--     obj:attach{ first = { { "kprobe", "kretprobe" }, "tracepoint" } }
--
-- A rung is a pattern or a list of them. A pattern is a kind ("tracepoint": all programs of the object that are of it)
-- or a whole target ("kprobe:do_sys_openat2": the programs whose section names just that).
-- @module luaprobe.ladder
local err = require "luaprobe.error"

local M = {}

-- Whether it runs where a function, or a system call, is left.
local function is_at_return(program)
  return program.returns or program.target and program.target:find "^tracepoint:syscalls:sys_exit_" ~= nil or false
end

-- What runs at returns first, otherwise the order of the file: no entry shall be remembered whose return is not seen.
local function in_attach_order(list)
  local ordered = {}
  for _, wanted in ipairs { true, false } do
    for _, program in ipairs(list) do
      if is_at_return(program) == wanted then ordered[#ordered + 1] = program end
    end
  end
  return ordered
end

local function matches(program, pattern)
  return program.kind == pattern or program.target == pattern
end

local function programs_of(object, rung)
  local list = {}
  if type(rung) == "table" and #rung == 0 then err.misuse("a rung of first is empty: it would attach nothing") end
  for _, pattern in ipairs(type(rung) == "table" and rung or { rung }) do
    local before = #list
    for _, program in ipairs(object.programs) do
      if matches(program, pattern) then list[#list + 1] = program end
    end
    if #list == before then err.misuse("%s has no program for '%s'", object.name, tostring(pattern)) end
  end
  return in_attach_order(list)
end

-- All that are to be loaded: not SEC("?…"), and not those whose autoload was set to false.
local function programs_to_load(object)
  if #object.programs == 0 then err.misuse("%s has no programs to attach", object.name) end
  local list = {}
  for _, program in ipairs(object.programs) do
    if program.autoload then list[#list + 1] = program end
  end
  if #list == 0 then err.misuse("%s: no program is to be attached: autoload is false for all of them", object.name) end
  return in_attach_order(list)
end

--- The sets of programs that a ladder stands for; without one, a single set of those with autoload.
-- @param object the luaprobe.object
-- @tparam[opt] table first the ladder
-- @treturn {{program,…},…}
function M.rungs(object, first)
  if first == nil then
    return { programs_to_load(object) }
  end
  if type(first) ~= "table" or #first == 0 then err.misuse("first is a list of targets or of lists of them") end
  local rungs = {}
  for i, rung in ipairs(first) do rungs[i] = programs_of(object, rung) end
  return rungs
end

-- What a lower rung cannot mend either.
local function is_final(failure)
  return not err.is(failure) or failure.code == "EPERM" or failure.code == "EACCES"
end

local function say_fallback(rungs, rung, failure)
  io.stderr:write(("luaprobe: %s; using %s instead\n"):format(failure.message, rungs[rung][1].target))
end

-- One error of all: the first is what the author wanted most, and the last one's hint what is left to try.
local function all_failed(failures)
  local first, messages = failures[1], {}
  for i, failure in ipairs(failures) do messages[i] = failure.message end
  first.message = table.concat(messages, "; and ")
  first.hint = failures[#failures].hint or first.hint
  return first
end

--- Tries the rungs in order.
-- @tparam {{program,…},…} rungs
-- @tparam function try called with a set of programs; returns something, or nil and the error
-- @treturn number the rung that worked
-- @treturn {program,…} its programs
-- @return what `try` returned
-- @raise one error when none works, of the first rung's code and with the reasons of all
function M.climb(rungs, try)
  local failures = {}
  for rung, list in ipairs(rungs) do
    local result, failure = try(list)
    if result then
      if #failures > 0 then say_fallback(rungs, rung, failures[1]) end
      return rung, list, result
    end
    failures[#failures + 1] = failure
    if is_final(failure) then error(err.is(failure) and all_failed(failures) or failure, 0) end
  end
  error(all_failed(failures), 0)
end

return M
