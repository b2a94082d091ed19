--- What attach may be told: a target and options, checked.
-- @module luaprobe.options
local ffi = require "ffi"
local err = require "luaprobe.error"
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

local MINIMUM = { pid = 1 } -- 0 is no process

-- The kernel's own: PID_MAX_LIMIT, KRETPROBE_MAXACTIVE_MAX.
local MAXIMUM = { pid = 4194304, maxactive = 4096, cookie = 2 ^ 53 }

local default_mechanism = "auto"

--- Names the mechanism for all probes that have several and whose attach does not name one (--attach).
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
  for _, target in ipairs(list) do
    if target.kind ~= list[1].kind then
      err.misuse("%s and %s are not of one kind: attach them one after the other", list[1].text, target.text)
    end
  end
  return list
end

local function check_option(name, value)
  local wanted = OPTIONS[name]
  if not wanted then err.misuse("attach has no option '%s'", tostring(name)) end
  if name == "cookie" and (ffi.istype("uint64_t", value) or ffi.istype("int64_t", value)) then return end
  if type(value) ~= wanted then err.misuse("%s is a %s, not a %s", name, wanted, type(value)) end
  local least = MINIMUM[name] or 0
  if wanted == "number" and (value < least or value % 1 ~= 0 or value > MAXIMUM[name]) then
    err.misuse("%s is a whole number from %d to %.0f, not %s", name, least, MAXIMUM[name], value)
  end
end

--- The mechanism of attaches that do not name one.
function M.default_mechanism()
  return default_mechanism
end

local FOR = {
  { name = "maxactive", takes = targets.takes_maxactive, what = "kretprobes" },
  { name = "force", takes = targets.takes_force, what = "uretprobes, into Go programs" },
}

--- What is wrong with options that mean nothing for a target, and that an object's other programs may have a use for.
-- @tparam table opts of parse
-- @tparam table target
-- @treturn table|nil the error, not raised
function M.meaningless(opts, target)
  for _, option in ipairs(FOR) do
    local value = opts[option.name]
    if value and value ~= 0 and not option.takes(target) then
      return { code = "EINVAL", stage = "attach",
        message = ("%s: %s is for %s"):format(target.text, option.name, option.what),
        hint = ("leave %s out"):format(option.name) }
    end
  end
end

--- What attach was given, checked: `targets`, a list of one kind, and the options.
-- @tparam[opt] string|table given a target, or `target` or a kind as key for one or many, and options by name
-- @treturn table
-- @raise a usage error at the caller; an error of stage "attach" for a target that cannot be read
function M.parse(given)
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

return M
