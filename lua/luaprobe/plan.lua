--- What the one-liners share: from a target to an attached template.
--
-- A plan knows the target, what its functions' names mean, and which of a template's programs go where.
-- @module luaprobe.plan
local C = require "luaprobe.cdef"
local attempt = require "luaprobe.attempt"
local err = require "luaprobe.error"
local expression = require "luaprobe.expression"
local fetch = require "luaprobe.fetch"
local objects = require "luaprobe.object"
local options = require "luaprobe.options"
local places = require "luaprobe.place"
local resolve = require "luaprobe.resolve"
local takes = require "luaprobe.takes"
local targets = require "luaprobe.target"
local traceable = require "luaprobe.traceable"
local where = require "luaprobe.where"

local M = {}

local Plan = {}
Plan.__index = Plan

local RETURN_WORD = {
  [C.LP_KPROBE] = "kretprobe", [C.LP_KSYSCALL] = "kretsyscall", [C.LP_UPROBE] = "uretprobe",
}
local ENTRY_WORD = {
  [C.LP_KRETPROBE] = "kprobe", [C.LP_KRETSYSCALL] = "ksyscall", [C.LP_URETPROBE] = "uprobe",
}

local function parse_target(text, what)
  if type(text) ~= "string" then err.misuse('%s takes a target like "kprobe:vfs_read", not a %s', what, type(text)) end
  local target, failure = targets.parse(text)
  if not target then err.raise(failure) end
  return target
end

local function with_word(target, word)
  return word .. target.text:match "^[%w_]+(:.*)$"
end

local function cannot_join(target)
  err.raise { code = "EINVAL", stage = "attach",
    message = target.text .. ": it has no entry and return that could be joined",
    hint = "functions have (kprobe, uprobe), and system calls: tracepoint:syscalls:sys_enter_NAME" }
end

-- The target of the entry, and that of the return.
local function join(target)
  if target.kind == C.LP_TRACEPOINT then
    if target.category ~= "syscalls" or not target.name:find "^sys_enter_" then cannot_join(target) end
    return target.text, (target.text:gsub(":sys_enter_", ":sys_exit_"))
  end
  local entry_word, return_word = ENTRY_WORD[target.kind], RETURN_WORD[target.kind]
  if not entry_word and not return_word then cannot_join(target) end
  return entry_word and with_word(target, entry_word) or target.text,
    return_word and with_word(target, return_word) or target.text
end

-- Which of the template's programs runs at a target.
local function program_at(target, second)
  if target.kind == C.LP_TRACEPOINT then return second and "on_tracepoint_return" or "on_tracepoint" end
  return target.returns and "on_return" or "on_entry"
end

-- ---- what a wildcard's functions have in common --------------------------------------------------------------------

local function matching_tracepoints(target)
  local list = {}
  for i, each in ipairs(require("luaprobe.tracepoints").find(target.category, target.name) or {}) do
    list[i] = targets.with(target, { category = each.category, name = each.name, wildcard = false,
      text = ("tracepoint:%s:%s"):format(each.category, each.name) })
  end
  return list
end

local function matching_functions(target)
  local list = {}
  for _, name in ipairs(traceable.find(target.name, target.category ~= "" and target.category or nil)) do
    list[#list + 1] = targets.with(target, { name = name, wildcard = false,
      text = ("%s:%s"):format(target.word, name) })
  end
  return list
end

-- Of a binary: each by its place, since several may have one name.
local function matching_user_functions(target, pid)
  local list, failure = resolve.all({ target }, { pid = pid })
  if not list then err.raise(failure) end
  for i, found in ipairs(list) do
    list[i] = targets.with(found, {
      text = ("%s:%s:0x%s"):format(found.word, found.path, bit.tohex(found.offset, 16):match "^0*(.+)$") })
  end
  return list
end

-- The functions or tracepoints that a pattern stands for, one target each.
local function members(target, pid)
  if not target.wildcard then return { target } end
  if target.kind == C.LP_TRACEPOINT then return matching_tracepoints(target) end
  if targets.is_function_of_binary(target) then return matching_user_functions(target, pid) end
  if targets.is_kernel(target) then return matching_functions(target) end
  return { target }
end

local function nothing_matches(self)
  local reason, hint
  if targets.is_kernel(self.target) then
    reason, hint = require("luaprobe.doctor").absent_module(self.target.name, self.target.category)
  end
  err.raise { code = "ENOENT", stage = "attach",
    message = ("%s: %s"):format(self.text, reason or "nothing that can be probed matches"),
    hint = hint or ("see what there is: lp.probes %q"):format(self.text) }
end

--- The functions or tracepoints that the target stands for: targets of one each.
-- @raise error of stage "attach" when there are none
function Plan:members()
  if self.list then return self.list end
  self.list = members(self.target, self.probe_pid)
  if #self.list == 0 then nothing_matches(self) end
  return self.list
end

-- Registers are the same in all functions of a binary.
local function places_of(self)
  if not self.places then
    self.places = {}
    local list = targets.is_user(self.target) and { self.target } or self:members()
    for i, member in ipairs(list) do self.places[i] = places.of(member, self.joined) end
  end
  return self.places
end

local function same(a, b)
  if type(a) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

-- What tracepoints have in different places is not theirs alone: whose process it is, and where that runs.
local function of_the_task(parsed, place)
  local operand = #parsed.steps == 0 and place:everywhere(parsed.base)
  return operand and fetch.compile(parsed, operand)
end

local function ambiguous(parsed, first, other)
  expression.wrong(parsed.text, ("ambiguous: '%s' is not at the same place, or of another type, in %s and %s"):format(
    parsed.base, first.name, other.name), "take the functions one by one, or a pattern of such that have it in common")
end

--- Compiles an expression for all functions of the target.
-- @tparam table parsed of luaprobe.expression
-- @treturn table see luaprobe.fetch.compile
-- @raise error of stage "expression"
function Plan:compile(parsed)
  local list = places_of(self)
  local first = fetch.compile(parsed, list[1]:operand(parsed))
  for i = 2, #list do
    local other = fetch.compile(parsed, list[i]:operand(parsed))
    if not same(first.fetch, other.fetch) then
      return of_the_task(parsed, list[1]) or ambiguous(parsed, list[1], list[i])
    end
  end
  return first
end

--- The type that an expression leads to, and the names that one can begin with: for completion.
function Plan:type_of(parsed)
  return fetch.type_of(parsed, places_of(self)[1]:operand(parsed))
end

function Plan:names()
  return places_of(self)[1]:names()
end

--- Compiles conditions for all functions of the target.
function Plan:conditions(text, formats)
  return where.compile(text, function(parsed) return self:compile(parsed) end, formats)
end

-- ---- names of functions --------------------------------------------------------------------------------------------

local FUNCTION = 12 -- enum lp_source

-- Only a cookie can tell tracepoints from each other, and user space's functions without looking at every process.
local function needs_cookies(self)
  return self.target.wildcard and (self.target.kind == C.LP_TRACEPOINT or targets.is_user(self.target))
end

--- Makes the template tell functions apart.
-- @raise error of stage "attach" where this kernel cannot
function Plan:tell_functions()
  if not needs_cookies(self) then return end
  if not C.lp_kernel_at_least(5, 15) then
    err.raise { code = "EOPNOTSUPP", stage = "attach",
      message = self.text .. ": before Linux 5.15 the probes of such a pattern cannot be told apart",
      hint = "take them one by one, or group by something else" }
  end
  self.cookies = true
end

-- A program is given the registers of user space there, and the kernel walks its own stack from its own alone. Since
-- Linux 6.12 (376bd59e2a04) those of a system call's tracepoint are the kernel's.
local function stack_refusal(target)
  if targets.is_user(target) then
    return "stacks are the kernel's, and it has none where user space runs", "what the kernel does for it has: a kprobe"
  elseif target.kind == C.LP_TRACEPOINT and target.category == "syscalls" and not C.lp_kernel_at_least(6, 12) then
    return "before Linux 6.12 the tracepoints of single system calls have no stack",
      "tracepoint:raw_syscalls:sys_enter has one (where = \"id == NUMBER\"), and so have kprobes"
  end
end

--- Refuses to take stacks where the kernel has none.
-- @raise error of stage "attach"
function Plan:check_stack()
  for _, member in ipairs(targets.is_user(self.target) and { self.target } or self:members()) do
    local reason, hint = stack_refusal(member)
    if reason then
      err.raise { code = "EOPNOTSUPP", stage = "attach", message = self.text .. ": " .. reason, hint = hint }
    end
  end
end

--- How an address, or a cookie, that the template tells as LP_FUNCTION is called.
-- @treturn function number → string
function Plan:namer()
  if not self.target.wildcard then
    local name = self.target.name
    if name == "" then name = self.text end
    return function() return name end
  elseif self.cookies then
    local list = self:members()
    return function(cookie)
      local member = list[tonumber(cookie)]
      return member and member.name or "?"
    end
  end
  return require("luaprobe.ksyms").namer(self.target.name)
end

M.FUNCTION = FUNCTION

-- ---- attaching -----------------------------------------------------------------------------------------------------

-- Entry and return must see the same stack: mechanism multi shows another one on some kernels.
local function joined_mechanism(target)
  if not target.wildcard or target.kind == C.LP_TRACEPOINT then return nil end
  return "legacy"
end

local function open_template(self, template, const)
  const.filter, const.ask_cookie = self.filter, self.cookies
  local object = objects.open(template, { const = const })
  for _, program in ipairs(object.programs) do program:set_autoload(false) end
  for _, at in ipairs(self.attachments) do object.programs[at.program]:set_autoload(true) end
  return object
end

--- Sets how many entries a template's map has.
function M.resize(object, map, entries)
  object.maps[map].max_entries = entries
end

-- One probe for each member, whose cookie tells which one it is. What cannot be probed is left out, and that said.
local function attach_each(self, program, is_return)
  local all, left_out = self:members(), 0
  for i, member in ipairs(all) do
    local text = member.text
    if is_return then text = select(2, join(member)) end
    local ok, failure = pcall(program.attach, program, { target = text, cookie = i, mechanism = "link",
      pid = self.probe_pid })
    if not ok then
      left_out = left_out + 1
      if not err.is(failure) or failure.code ~= "EOPNOTSUPP" or left_out == #all then error(failure, 0) end
    end
  end
  if left_out > 0 and not is_return then
    io.stderr:write(("luaprobe: %s: %d of %d functions begin with an instruction that cannot be probed, and are left "
      .. "out\n"):format(self.text, left_out, #all))
  end
end

local function attach_all(self, object)
  for i = #self.attachments, 1, -1 do
    local at = self.attachments[i]
    local program = object.programs[at.program]
    if self.cookies then
      attach_each(self, program, i == 2)
    else
      program:attach { target = at.target, mechanism = self.mechanism, pid = self.probe_pid }
    end
  end
end

--- Loads a template and attaches it: the return before the entry, so that none is waited for in vain.
-- @tparam string template "count", "trace" or "latency"
-- @tparam table const the template's read-only data
-- @tparam[opt] function prepare gets the object before it is loaded
-- @treturn luaprobe.object
-- @raise errors of stages "load" and "attach"; then nothing is attached
function Plan:attach(template, const, prepare)
  if self.asks_function then const.ask_function = C.lp_kernel_at_least(5, 15) end
  local object = open_template(self, template, const)
  attempt(function()
    if prepare then prepare(object) end
    object:load()
    attach_all(self, object)
  end, function() object:close() end)
  return object
end

local FILTERS = { "pid", "tid", "uid", "comm" }

--- The target of the function's entry, for a target of its return.
function Plan:entry_text()
  return (join(self.target))
end

--- Where a template's programs go, as the target's text alone says: nothing of it is looked up.
-- @tparam string what the caller's name, for messages
-- @tparam string text the target
-- @tparam boolean joined entry and return become one
-- @treturn {table,…} `{program, target}`
-- @treturn table the target, of the entry where they are joined
-- @raise error of stage "attach" for a target that cannot be read, or joined
function M.attachments(what, text, joined)
  local target = parse_target(text, what)
  if not joined then return { { program = program_at(target), target = text } }, target end
  local entry, exit = join(target)
  local first = parse_target(entry, what)
  return { { program = program_at(first), target = entry },
    { program = program_at(parse_target(exit, what), true), target = exit } }, first
end

--- Finds out whether attach would do, and attaches nothing: what is opened is closed before it begins to run.
-- @tparam string template "count", "trace" or "latency"
-- @raise errors of stages "load" and "attach"
function Plan:try(template)
  local object = open_template(self, template, {})
  local ok, failure = pcall(function()
    object:load()
    for _, at in ipairs(self.attachments) do
      local opts = options.parse { target = at.target, mechanism = self.mechanism, pid = self.probe_pid }
      object.programs[at.program]:open_probe(opts):detach()
    end
  end)
  object:close()
  if not ok then error(failure, 0) end
end

--- The plan for a target.
-- @tparam string what the caller's name, for messages
-- @tparam string text the target
-- @tparam table opts `pid`, `tid`, `uid`, `comm`: only these; `mechanism`
-- @tparam boolean joined entry and return become one
-- @treturn Plan
function M.new(what, text, opts, joined)
  local attachments, target = M.attachments(what, text, joined)
  local plan = setmetatable({ text = text, target = target, joined = joined, filter = {},
    attachments = attachments }, Plan)
  plan.asks_function = not joined and target.returns and target.kind ~= C.LP_TRACEPOINT and targets.is_kernel(target)
  takes.comm(what .. ": comm", opts.comm)
  for _, name in ipairs(FILTERS) do plan.filter[name] = opts[name] end
  plan.mechanism = opts.mechanism or joined and joined_mechanism(plan.target) or nil
  plan.probe_pid = targets.is_user(target) and opts.pid or nil
  places.of(plan.target, joined) -- refuses kinds that have no program here
  return plan
end

return M
