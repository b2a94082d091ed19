--- Opening a probe: from what the user asked for to open handles, one per function or one for all.
-- @module luaprobe.opening
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local multi = require "luaprobe.multi"
local options = require "luaprobe.options"
local probes = require "luaprobe.probe"
local resolve = require "luaprobe.resolve"
local targets = require "luaprobe.target"

local M = {}

local function raw_options(opts, target)
  local raw = ffi.new "struct lp_probe_options"
  raw.mechanism = opts.mechanism or targets.has_mechanisms(target) and options.default_mechanism() or "auto"
  raw.pid = opts.pid or 0
  raw.maxactive = targets.takes_maxactive(target) and opts.maxactive or 0 -- an object's other programs ignore it
  raw.has_cookie = opts.cookie ~= nil
  raw.cookie = opts.cookie or 0
  return raw
end

local function open_handle(target, raw)
  local handle = C.lp_probe_open(targets.raw(target), raw)
  if handle == nil then return nil, err.last() end
  return ffi.gc(handle, C.lp_probe_close)
end

local function has_doctor(target)
  return targets.is_kernel(target) or target.kind == C.LP_TRACEPOINT
end

-- What `try` makes of a target, or nil and the error, as the doctor explains it. A function that the compiler renamed
-- is taken by its new name, and that is said.
local function explained(target, try)
  local result, failure = try(target)
  if result or not has_doctor(target) then return result, failure end
  local explanation, replacement = require("luaprobe.doctor").explain(target, failure) -- only failures need it
  if not replacement then return nil, explanation end
  io.stderr:write(("luaprobe: %s: this kernel has it as %s only\n"):format(target.text, replacement))
  return try(targets.with(target, { name = replacement }))
end

-- tracefs takes an address at which nothing is, for a module that may come one day; perf_event_open says so.
local function refused_address(target, handle)
  if not targets.is_kernel(target) or target.name ~= "" or ffi.string(C.lp_probe_mechanism(handle)) ~= "legacy" then
    return nil
  end
  local there, failure = open_handle(target, raw_options({ mechanism = "perf" }, target))
  if there then C.lp_probe_close(ffi.gc(there, nil)) end
  return failure and failure.code ~= "ENODEV" and failure or nil
end

local function open_one(target, raw)
  return explained(target, function(place)
    local handle, failure = open_handle(place, raw)
    failure = failure or refused_address(place, handle)
    if not failure then return handle end
    if handle then C.lp_probe_close(ffi.gc(handle, nil)) end
    return nil, failure
  end)
end

local function add_one(handle, target)
  return explained(target, function(place)
    if C.lp_probe_add(handle, targets.raw(place)) == 0 then return true end
    return nil, err.last()
  end)
end

local PROGRESS_EVERY = 1e9 -- nanoseconds

local function say_progress(text, done, all)
  io.stderr:write(("luaprobe: attaching %s: %d of %d\n"):format(text, done, all))
end

local function interrupted(text, done, all)
  return { code = "EINTR", stage = "attach",
    message = ("%s: interrupted after %d of %d; nothing stays attached"):format(text, done, all) }
end

--- Runs a step for each of a list, saying how far it is once a second, until it fails or Ctrl-C is pressed.
-- @tparam string text what is attached
-- @treturn table the results
-- @treturn table|nil the error that ended it
local function for_each(text, list, step)
  local results, failure = {}, nil
  local next_report = tonumber(C.lp_time_monotonic()) + PROGRESS_EVERY
  local caught = #list > 1 and C.lp_stop_catch()
  for i, item in ipairs(list) do
    results[#results + 1], failure = step(item)
    if C.lp_stop_pending() ~= 0 then failure = interrupted(text, i, #list) end
    if failure then break end
    local now = tonumber(C.lp_time_monotonic())
    if #list > 1 and now >= next_report then
      say_progress(text, i, #list)
      next_report = now + PROGRESS_EVERY
    end
  end
  if caught then C.lp_stop_release() end
  return results, failure
end

local function close_all(handles)
  probes.close { { handles = handles } }
end

-- The handles of the targets, one each; nil and the error, and then none is open.
local function open_each(text, list, raw)
  local handles, failure = for_each(text, list, function(target) return open_one(target, raw) end)
  if not failure then return handles end
  close_all(handles)
  return nil, failure
end

-- The same for namesakes, of which some cannot be traced.
local function open_traceable(text, list, raw)
  return for_each(text, list, function(target)
    local handle, failure = open_handle(target, raw)
    if not handle and failure.code ~= "EINVAL" then return nil, failure end
    return handle
  end)
end

-- What each kretprobe of many follows unless told: one alone follows 4,096 calls at once, which takes 400 kB.
local MAXACTIVE_OF_MANY = 128

-- One handle for all functions, which join one event of tracefs. So they are detached together, where the kernel needs
-- as long for each of many handles as for one. The third result is true when it could not even begin.
local function open_joined(text, list, raw)
  raw.mechanism = "legacy"
  if list[1].returns and raw.maxactive == 0 then raw.maxactive = MAXACTIVE_OF_MANY end
  local handle, failure = open_one(list[1], raw)
  if not handle then return nil, failure, true end
  local _, reason = for_each(text, list, function(target)
    if target == list[1] then return true end
    return add_one(handle, target)
  end)
  if not reason then return handle end
  C.lp_probe_close(ffi.gc(handle, nil))
  return nil, reason
end

-- One handle for all functions, by one link. What it points to must outlive it, so the destructor keeps that.
local function open_multi(wanted, list, raw)
  local functions, failure = multi.functions(wanted, list, explained)
  if not functions then return nil, failure end
  local array, is_of_names = multi.array(functions)
  raw.count = #functions
  if is_of_names then raw.functions = array else raw.offsets = array end
  local handle
  handle, failure = open_handle(functions[1], raw)
  if not handle then
    local _, better
    if failure.code ~= "EOPNOTSUPP" then _, better = multi.functions(wanted, list, explained, true) end
    return nil, better or failure
  end
  return { ffi.gc(handle, function(closed)
    C.lp_probe_close(closed)
    return array, functions
  end) }
end

-- How a probe of the targets is called: the pattern, or the first of a list.
local function text_of(wanted)
  local text = wanted[1].text
  return #wanted > 1 and ("%s and %d more"):format(text, #wanted - 1) or text
end

-- Whether all can join one event. Addresses cannot: tracefs takes them all for the same place.
local function are_joinable(list, mechanism)
  if #list < 2 or (mechanism ~= "auto" and mechanism ~= "legacy") or not multi.are_one_set(list) then return false end
  for _, target in ipairs(list) do
    if targets.is_kernel(target) and target.name == "" then return false end
  end
  return true
end

local function open_named(text, list, raw)
  local mechanism, maxactive = raw.mechanism, raw.maxactive
  if not are_joinable(list, ffi.string(mechanism)) then return open_each(text, list, raw) end
  local handle, failure, not_begun = open_joined(text, list, raw)
  raw.mechanism, raw.maxactive = mechanism, maxactive
  if not_begun and ffi.string(mechanism) == "auto" then return open_each(text, list, raw) end
  if not handle then return nil, failure end
  return { handle }
end

-- Only wildcards stand for functions that share a name, and most runs have none.
local function tell_apart(wanted, list)
  for _, target in ipairs(targets.is_kernel(list[1]) and wanted or {}) do
    if target.wildcard then return require("luaprobe.namesakes").tell_apart(wanted, list) end
  end
  return list, {}
end

-- Handles for many functions on a kernel that has no multi, or for one.
local function open_without_multi(wanted, list, raw)
  local text = text_of(wanted)
  local named, addresses = tell_apart(wanted, list)
  local handles, failure = open_named(text, named, raw)
  if not handles then return nil, failure end
  local others
  others, failure = open_traceable(text, addresses, raw)
  for _, handle in ipairs(others) do handles[#handles + 1] = handle end
  if not failure and #handles == 0 then
    failure = { code = "ENOENT", stage = "attach", message = text .. ": none of these functions can be traced" }
  end
  if not failure then return handles end
  close_all(handles)
  return nil, failure
end

local function wants_multi(list, raw)
  local mechanism = ffi.string(raw.mechanism)
  if mechanism ~= "auto" then return mechanism == "multi" end
  if raw.maxactive > 0 then return false end -- only legacy has it
  return #list > 1 and multi.are_one_set(list) and not multi.unfit(list)
end

-- The kernel ignores the process there, so the program would run for all.
local function check_pid(program, target, opts)
  if not opts.pid or targets.takes_pid(target) then return end
  err.raise(program:told { code = "EINVAL", stage = "attach",
    message = ("%s: pid is for uprobes, USDT probes and perf events"):format(target.text),
    hint = "let the program look at bpf_get_current_pid_tgid(), as bpf/include/filter.bpf.h does" })
end

--- Opens a probe of a program.
-- @param program the luaprobe.program
-- @tparam {table,…} wanted targets, of luaprobe.target
-- @tparam table opts checked options
-- @treturn luaprobe.probe
-- @raise error of stage "attach"; then nothing is open
function M.open(program, wanted, opts)
  if opts.stats then err.check(C.lp_stats_enable()) end
  check_pid(program, wanted[1], opts)
  local list, failure = resolve.all(wanted, opts)
  if not list then err.raise(program:told(failure)) end
  local raw = raw_options(opts, list[1])
  local is_chosen = ffi.string(raw.mechanism) == "multi"
  -- What to do instead of multi, and where the kernel turns out to have none.
  local function without_multi()
    raw.count = 0
    return open_without_multi(wanted, list, raw)
  end
  local handles
  if wants_multi(list, raw) then handles, failure = open_multi(wanted, list, raw) end
  local by_multi = handles ~= nil
  if not by_multi and not is_chosen then handles, failure = without_multi() end
  if not handles then err.raise(program:told(failure)) end
  return probes.new(program, text_of(wanted), handles, by_multi and not is_chosen and without_multi or nil)
end

return M
