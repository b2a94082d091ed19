--- The one-liners of a script, known by its text: what they would attach, and whether they would.
-- @module luaprobe.one_liner
local keys = require "luaprobe.key"
local plans = require "luaprobe.plan"
local traces = require "luaprobe.trace"

local M = {}

local function options_of(use)
  return type(use.options) == "table" and use.options or {}
end

-- The fields of lp.trace, taken apart, and whether entry and return are joined.
local function parse(use)
  if use.call ~= "trace" then return {}, use.call == "latency" end
  return traces.parse(use.target, use.fields, options_of(use).ret)
end

--- What a one-liner would attach, without looking anything up.
-- @tparam table use of luaprobe.blocks
-- @treturn table `call` ("trace"), `line`, `target`, `kind`, `programs` (`{name, target}`, of the object that `call`
--   names, which is inside luaprobe), `fields`, `where`, `by`: texts, where there are any; `partly`: of its other
--   arguments not all are literals
-- @raise errors of stages "attach" and "expression"
function M.describe(use)
  local parsed, joined = parse(use)
  local attachments, target = plans.attachments("lp." .. use.call, use.target, joined)
  local opts, fields, programs = options_of(use), {}, {}
  for i, one in ipairs(parsed) do fields[i] = one.text .. (one.format and ":" .. one.format or "") end
  for i, at in ipairs(attachments) do programs[i] = { name = at.program, target = at.target } end
  return { call = use.call, line = use.line, target = use.target, kind = target.word, programs = programs,
    fields = #fields > 0 and table.concat(fields, ", ") or nil, where = opts.where, by = opts.by,
    partly = use.partly ~= nil }
end

--- Finds out whether a one-liner would do its work on this machine: its target, its expressions, its programs. Nothing
-- is attached.
-- @raise errors of stages "attach", "expression" and "load"
function M.try(use)
  local opts = options_of(use)
  local parsed, joined = parse(use)
  local plan = plans.new("lp." .. use.call, use.target, opts, joined)
  plan:members()
  for _, one in ipairs(parsed) do plan:compile(one) end
  plan:conditions(opts.where)
  if use.call ~= "trace" then keys.new(plan, opts.by) end
  plan:try(use.call)
end

return M
