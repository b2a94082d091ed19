--- lp.latency: how long calls take, as histograms by what.
-- @module luaprobe.latency
local ffi = require "ffi"
local err = require "luaprobe.error"
local grouped = require "luaprobe.grouped"
local hist = require "luaprobe.hist"
local keys = require "luaprobe.key"
local live = require "luaprobe.live"
local plans = require "luaprobe.plan"
local takes = require "luaprobe.takes"

local M = {}

local Latency = {}
Latency.__index = Latency

local SLOTS = 64
local UNITS = { ns = 1, us = 1e3, ms = 1e6, s = 1e9 }
local word_pointer = ffi.typeof "const uint64_t *"

local function add_histogram(item, value, cpus, stride)
  item.total, item.counts = item.total or 0, item.counts or {}
  for cpu = 0, cpus - 1 do
    local words = ffi.cast(word_pointer, value + cpu * stride)
    item.total = item.total + tonumber(words[0]) -- nanoseconds, so far
    for slot = 0, SLOTS - 1 do
      local count = tonumber(words[slot + 1])
      if count > 0 then
        item.counts[slot] = (item.counts[slot] or 0) + count
        item.count = item.count + count
      end
    end
  end
end

-- Slot N holds what has N bits: from 2^(N-1) to 2^N - 1.
local function slots_of(counts)
  local slots, last = {}, 0
  for slot in pairs(counts) do last = math.max(last, slot) end
  for slot = 0, last do
    slots[slot + 1] = { from = slot == 0 and 0 or 2 ^ (slot - 1), to = slot == 0 and 0 or 2 ^ slot - 1,
      count = counts[slot] or 0 }
  end
  return slots
end

function Latency:read()
  local items = grouped.read(self, "histograms", add_histogram)
  for _, item in ipairs(items) do
    item.slots, item.counts = slots_of(item.counts), nil
    item.total = item.total / UNITS[self.unit]
    item.average = item.count > 0 and item.total / item.count or 0
  end
  return items
end

--- The histograms so far.
-- @treturn {{key=,count=,total=,average=,slots=},…} the most frequent key first; `total` and `average` in the unit;
--   `slots` as lp.hist takes them: `{from=, to=, count=}` each
function Latency:items()
  takes.method(Latency, self, "items")
  return grouped.items(self)
end

--- Calls that were measured.
-- @treturn number
function Latency:total()
  takes.method(Latency, self, "total")
  return grouped.total(self)
end

--- Calls that could not be followed: no room for their start, or for their key, or the kernel left them out.
-- @treturn number
function Latency:lost()
  takes.method(Latency, self, "lost")
  if not self.object.handle then return self.final_lost or 0 end
  return tonumber(self.object.data.full) + tonumber(self.object.data.unjoined) + live.missed(self.object)
end

local function text_of(self, most)
  local parts = {}
  for i, item in ipairs(self:items()) do
    if most and i > most then break end
    parts[#parts + 1] = hist.text(item.slots, { unit = self.unit,
      title = ("%s: %.0f calls, %.1f %s on average"):format(self.key.show(item.key), item.count, item.average,
        self.unit) })
  end
  if #parts == 0 then parts[1] = "(no calls yet)" end
  if self:lost() > 0 then parts[#parts + 1] = ("%.0f calls could not be followed"):format(self:lost()) end
  return table.concat(parts, "\n\n") .. "\n"
end

--- Draws the histogram of each key.
function Latency:print()
  takes.method(Latency, self, "print")
  live.write(text_of(self))
end

--- Draws the histograms of the most frequent keys.
-- @tparam[opt=10] number most how many
function Latency:top(most)
  takes.method(Latency, self, "top")
  takes.many("top: how many keys", most)
  live.write(text_of(self, most or 10))
end

--- Draws the histograms anew every so many seconds, until Ctrl-C.
-- @tparam[opt=1] number seconds
-- @tparam[opt] table opts `times`: ends after so many; `top`: how many keys (4)
function Latency:watch(seconds, opts)
  takes.method(Latency, self, "watch")
  live.watch(seconds or 1, opts, function() return text_of(self, opts and opts.top or 4) end)
end

--- Detaches; the histograms stay.
function Latency:detach()
  takes.method(Latency, self, "detach")
  grouped.detach(self)
end
Latency.close = Latency.detach

function Latency:__tostring()
  return ("latency %s%s: %d keys, %.0f calls%s"):format(self.target, self.by and " by " .. self.by or "",
    #self:items(), self:total(), self.object.handle and "" or ", detached")
end

local OPTIONS = { by = true, unit = true, where = true, pid = takes.id, tid = takes.id, uid = takes.user, comm = true,
  mechanism = true, max_entries = takes.many }

local function prepare(self, opts)
  return function(object)
    if not self.key.stack then plans.resize(object, "stacks", 1) end
    if opts.max_entries then plans.resize(object, "histograms", opts.max_entries) end
  end
end

--- Measures the time between a function's entry and its return, in the kernel, from now on.
--
--     l = lp.latency("kprobe:vfs_read", { by = "comm", unit = "us" })
--     l:print()
-- @tparam string target "kprobe:vfs_read", "uprobe:libc:malloc", "tracepoint:syscalls:sys_enter_read", or a pattern
-- @tparam[opt] table opts `by`: as lp.count has it; `unit`: "ns", "us" (the default), "ms" or "s"; `where`, `pid`,
--   `tid`, `uid`, `comm`, `mechanism`: as lp.count has them; `max_entries`: of keys (1024)
-- @treturn Latency `:items()`, `:total()`, `:print()`, `:top(10)`, `:watch(1)`, `:detach()`, `:lost()`
-- @raise errors of stages "expression", "load", "attach"
function M.new(target, opts)
  opts = takes.options("lp.latency", opts, OPTIONS)
  local unit = opts.unit or "us"
  if not UNITS[unit] then err.misuse("unit is ns, us, ms or s, not '%s'", tostring(unit)) end
  local plan = plans.new("lp.latency", target, opts, true)
  local self = setmetatable({ target = target, by = opts.by, unit = unit, what = "latency" }, Latency)
  self.key = keys.new(plan, opts.by)
  local const = { by = self.key.const, by_stack = self.key.stack, unit = UNITS[unit],
    conditions = plan:conditions(opts.where) }
  self.object = plan:attach("latency", const, prepare(self, opts))
  live.remember(self)
  return self
end

return M
