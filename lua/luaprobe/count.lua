--- lp.count: how often something is hit, by what.
-- @module luaprobe.count
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local grouped = require "luaprobe.grouped"
local keys = require "luaprobe.key"
local live = require "luaprobe.live"
local plans = require "luaprobe.plan"
local takes = require "luaprobe.takes"

local M = {}

local Count = {}
Count.__index = Count

local count_pointer = ffi.typeof "const uint64_t *"

local function sum_of(value, cpus, stride)
  local sum = 0
  for cpu = 0, cpus - 1 do sum = sum + tonumber(ffi.cast(count_pointer, value + cpu * stride)[0]) end
  return sum
end

function Count:read()
  return grouped.read(self, "counts", function(item, value, cpus, stride)
    item.count = item.count + sum_of(value, cpus, stride)
  end)
end

--- What was counted so far.
-- @treturn {{key=,count=},…} the most frequent first; `key` is what `by` says: a name, a number, for stacks a list of
--   functions, the innermost first
function Count:items()
  takes.method(Count, self, "items")
  return grouped.items(self)
end

--- All hits that were counted.
-- @treturn number
function Count:total()
  takes.method(Count, self, "total")
  return grouped.total(self)
end

--- Hits that found no room for their key, or that the kernel left out.
-- @treturn number
function Count:lost()
  takes.method(Count, self, "lost")
  if not self.object.handle then return self.final_lost or 0 end
  return tonumber(self.object.data.full) + live.missed(self.object)
end

local function lines(self, most, before, seconds)
  local out = {}
  local function add(format, ...) out[#out + 1] = format:format(...) end
  add(before and "%12s %9s  %s" or "%12s  %s%s", "COUNT", before and "PER_SEC" or "", self.key.title)
  for i, item in ipairs(self:items()) do
    if most and i > most then break end
    local rate = before and (item.count - (before[self.key.identity(item.key)] or 0)) / seconds
    if rate then
      add("%12.0f %9.0f  %s", item.count, rate, self.key.show(item.key))
    else
      add("%12.0f  %s", item.count, self.key.show(item.key))
    end
  end
  if self:lost() > 0 then
    add("%12.0f  hits found no room for their key: raise max_entries; or came while the program was running",
      self:lost())
  end
  return out
end

--- Prints the most frequent keys.
-- @tparam[opt=10] number most how many
function Count:top(most)
  takes.method(Count, self, "top")
  takes.many("top: how many keys", most)
  live.write(table.concat(lines(self, most or 10), "\n") .. "\n")
end

--- Prints all keys.
function Count:print()
  takes.method(Count, self, "print")
  live.write(table.concat(lines(self), "\n") .. "\n")
end

--- Shows the counts anew every so many seconds, with the rate since the last time, until Ctrl-C.
-- @tparam[opt=1] number seconds
-- @tparam[opt] table opts `times`: ends after so many; `top`: how many keys (20)
function Count:watch(seconds, opts)
  takes.method(Count, self, "watch")
  seconds = seconds or 1
  local before = {}
  live.watch(seconds, opts, function()
    local text = table.concat(lines(self, opts and opts.top or 20, before, seconds), "\n") .. "\n"
    before = {}
    for _, item in ipairs(self:items()) do before[self.key.identity(item.key)] = item.count end
    return text
  end)
end

--- Detaches; what was counted stays.
function Count:detach()
  takes.method(Count, self, "detach")
  grouped.detach(self)
end
Count.close = Count.detach

function Count:__tostring()
  return ("count %s%s: %d keys, %.0f hits%s"):format(self.target, self.by and " by " .. self.by or "", #self:items(),
    self:total(), self.object.handle and "" or ", detached")
end

local OPTIONS = { by = true, where = true, pid = takes.id, tid = takes.id, uid = takes.user, comm = true,
  mechanism = true, max_entries = takes.many }

-- A kretprobe does not tell its function before Linux 5.15, so the entry remembers it.
local function recall_functions(plan, const)
  if not plan.asks_function or not plan.target.wildcard or C.lp_kernel_at_least(5, 15) then return end
  const.recall_function = true
  plan.attachments[2] = { program = "remember_function", target = plan:entry_text() }
  plan.attachments[1], plan.attachments[2] = plan.attachments[2], plan.attachments[1]
  plan.mechanism = plan.mechanism or "legacy"
end

local function prepare(self, opts)
  return function(object)
    if not self.key.stack then plans.resize(object, "stacks", 1) end
    if not self.recalls then plans.resize(object, "functions", 1) end
    if opts.max_entries then plans.resize(object, "counts", opts.max_entries) end
  end
end

--- Counts how often a probe is hit, in the kernel, from now on.
--
--     c = lp.count("kprobe:vfs_*", { by = "func" })
--     c:top(5)
--     c:watch(1)
-- @tparam string target a function, tracepoint or pattern of such: "kprobe:vfs_*", "uprobe:libc:malloc"
-- @tparam[opt] table opts `by`: "func", "comm", "pid", "tid", "cpu", "uid", "stack" or a field expression
--   ("file->f_flags:x"), all together when missing; `where`: see luaprobe.where; `pid`, `tid`, `uid`, `comm`: only
--   these; `mechanism`: see luaprobe.program's attach; `max_entries`: of keys (10240)
-- @treturn Count `:items()`, `:total()`, `:print()`, `:top(10)`, `:watch(1)`, `:detach()`, `:lost()`
-- @raise errors of stages "expression", "load", "attach"
function M.new(target, opts)
  opts = takes.options("lp.count", opts, OPTIONS)
  local plan = plans.new("lp.count", target, opts, false)
  local self = setmetatable({ target = target, by = opts.by, what = "count" }, Count)
  self.key = keys.new(plan, opts.by)
  local const = { by = self.key.const, by_stack = self.key.stack, conditions = plan:conditions(opts.where) }
  if opts.by == "func" then recall_functions(plan, const) end
  self.recalls = const.recall_function
  self.object = plan:attach("count", const, prepare(self, opts))
  live.remember(self)
  return self
end

return M
