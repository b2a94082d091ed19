--- Opening a probe: from what the user asked for to open handles, one per function or one for all.
-- @module luaprobe.opening
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local probes = require "luaprobe.probe"
local resolve = require "luaprobe.resolve"
local targets = require "luaprobe.target"

local M = {}

local KINDS = {}
for word in ("kprobe kretprobe ksyscall kretsyscall uprobe uretprobe usdt tracepoint raw_tracepoint tp_btf fentry fexit"
  .. " profile software hardware"):gmatch "%S+" do
  KINDS[word] = true
end

local OPTIONS = { -- and their types
  mechanism = "string", pid = "number", maxactive = "number", cookie = "number", stats = "boolean", force = "boolean",
}

local default_mechanism = "auto"

--- Names the mechanism for all probes whose attach does not name one (--attach).
function M.set_default_mechanism(name)
  default_mechanism = name
end

local function parse_all(texts, prefix)
  local list = {}
  for _, text in ipairs(type(texts) == "table" and texts or { texts }) do
    if type(text) ~= "string" then err.misuse("a target is a string, not a %s", type(text)) end
    local target, failure = targets.parse(prefix .. text)
    if not target then err.raise(failure) end
    list[#list + 1] = target
  end
  if #list == 0 then err.misuse "a list of targets is empty" end
  return list
end

local function check_option(name, value)
  local wanted = OPTIONS[name]
  if not wanted then err.misuse("attach has no option '%s'", tostring(name)) end
  if name == "cookie" and type(value) == "cdata" then return end
  if type(value) ~= wanted then err.misuse("%s is a %s, not a %s", name, wanted, type(value)) end
  if wanted == "number" and (value < 0 or value % 1 ~= 0) then
    err.misuse("%s is a whole number, not %s", name, value)
  end
end

--- What attach was given, checked: `targets` and the options.
function M.options(given)
  if given == nil then return {} end
  if type(given) == "string" then given = { target = given } end
  if type(given) ~= "table" then err.misuse("attach takes a target or a table, not a %s", type(given)) end
  local opts = {}
  for name, value in pairs(given) do
    if name == "target" or KINDS[name] then
      if opts.targets then err.misuse "attach takes one kind of target" end
      opts.targets = parse_all(value, name == "target" and "" or name .. ":")
    else
      check_option(name, value)
      opts[name] = value
    end
  end
  return opts
end

local function raw_options(opts, target)
  local raw = ffi.new "struct lp_probe_options"
  raw.mechanism = opts.mechanism or default_mechanism
  raw.pid = opts.pid or 0
  raw.maxactive = target.returns and opts.maxactive or 0 -- entries have no use for it
  raw.has_cookie = opts.cookie ~= nil
  raw.cookie = opts.cookie or 0
  return raw
end

local function open_handle(target, raw)
  local handle = C.lp_probe_open(target, raw)
  if handle == nil then return nil, err.last() end
  return ffi.gc(handle, C.lp_probe_close)
end

-- The handle, or nil and the error, as the doctor explains it. A function that the compiler renamed is taken by its new
-- name, and that is said.
local function open_one(target, raw)
  local handle, failure = open_handle(target, raw)
  if handle or not targets.is_kernel(target) then return handle, failure end
  local explained, replacement = require("luaprobe.doctor").explain(target, failure) -- only failures need it
  if not replacement then return nil, explained end
  io.stderr:write(("luaprobe: %s: this kernel has it as %s only\n"):format(targets.text(target), replacement))
  return open_handle(targets.with(target, { name = replacement }), raw)
end

local names_type = ffi.typeof "const char *[?]"
local offsets_type = ffi.typeof "uint64_t[?]"

-- How "multi" takes functions: the kernel's by name, those of a binary by offset.
local function names_of(list)
  local names = names_type(#list)
  for i, target in ipairs(list) do names[i - 1] = target.name end
  return names
end

local function offsets_of(list)
  local offsets = offsets_type(#list)
  for i, target in ipairs(list) do offsets[i - 1] = target.offset end
  return offsets
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
    results[i], failure = step(item)
    if C.lp_stop_pending() ~= 0 then failure = interrupted(text, i, #list) end
    if failure then break end
    local now = tonumber(C.lp_time_monotonic())
    if now >= next_report then
      say_progress(text, i, #list)
      next_report = now + PROGRESS_EVERY
    end
  end
  if caught then C.lp_stop_release() end
  return results, failure
end

-- The handles of the targets, one each; nil and the error, and then none is open.
local function open_each(text, list, raw)
  local handles, failure = for_each(text, list, function(target) return open_one(target, raw) end)
  if not failure then return handles end
  probes.close { { handles = handles } }
  return nil, failure
end

-- One handle for all functions. What it points to must outlive it, so the destructor keeps that.
local function open_multi(list, raw)
  local array = targets.is_user(list[1]) and offsets_of(list) or names_of(list)
  raw.count = #list
  if targets.is_user(list[1]) then raw.offsets = array else raw.functions = array end
  local handle, failure = open_handle(list[1], raw)
  if not handle then return nil, failure end
  return { ffi.gc(handle, function(closed)
    C.lp_probe_close(closed)
    return array, list
  end) }
end

local function wants_multi(list, mechanism)
  if mechanism ~= "auto" then return mechanism == "multi" end
  return #list > 1 and list[1].kind ~= C.LP_USDT and (targets.is_kernel(list[1]) or targets.is_user(list[1]))
end

--- Opens a probe of a program.
-- @param program the luaprobe.program
-- @tparam {cdata,…} wanted targets
-- @tparam table opts checked options
-- @treturn luaprobe.probe
-- @raise error of stage "attach"; then nothing is open
function M.open(program, wanted, opts)
  if opts.stats then err.check(C.lp_stats_enable()) end
  local text = targets.text(wanted[1])
  local list, failure = resolve.all(wanted, opts)
  if not list then err.raise(program:told(failure)) end
  local raw = raw_options(opts, list[1])
  local mechanism = ffi.string(raw.mechanism)
  local handles
  if wants_multi(list, mechanism) then
    handles, failure = open_multi(list, raw)
  else
    handles, failure = open_each(text, list, raw)
  end
  if not handles then err.raise(program:told(failure)) end
  return probes.new(program, text, handles, {
    functions = #list,
    -- What to do where the kernel turns out to have no "multi".
    one_by_one = mechanism == "auto" and #handles < #list and function()
      raw.count = 0
      return open_each(text, list, raw)
    end or nil,
  })
end

return M
