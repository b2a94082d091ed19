--- Probes: a program attached to a target.
-- @module luaprobe.probe
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local takes = require "luaprobe.takes"

local Probe = {}

local live = setmetatable({}, { __mode = "k" }) -- probes that are attached
local missed_before = 0                         -- by those that are not any more

local handles_type = ffi.typeof "struct lp_probe *[?]"
local counts_type = ffi.typeof "struct lp_probe_counts[?]"
local function count_functions(handles)
  local sum = 0
  for _, handle in ipairs(handles) do sum = sum + C.lp_probe_functions(handle) end
  return sum
end

-- What was counted at the places of a probe themselves; nil when one is not known.
local function sum(counts, from, length, what)
  local total = 0
  for i = from, from + length - 1 do
    local number = tonumber(counts[i][what])
    if number < 0 then return nil end
    total = total + number
  end
  return total
end

-- What the kernel counts for the program, where it does; that is not known for one probe when it runs at others too.
local function of_program(probe, number)
  number = tonumber(number)
  return not probe.shares_program and number >= 0 and number or nil
end

-- `hits` and `missed` of a probe whose handles have the counts from an index on.
local function totals(probe, counts, from)
  local length, first = #probe.handles, counts[from]
  local program_missed = of_program(probe, first.program_missed)
  local missed = sum(counts, from, length, "missed")
  if first.only_program_misses then
    missed = program_missed
  elseif missed then
    missed = missed + (program_missed or 0)
  end
  -- The program's runs are exact. What tracefs counts begins and ends a little beside the program.
  return { hits = of_program(probe, first.program_runs) or sum(counts, from, length, "hits"), missed = missed }
end

local function current(probe)
  if #probe.handles == 0 then return probe.final or {} end
  local counts = counts_type(#probe.handles)
  for i, handle in ipairs(probe.handles) do C.lp_probe_counts(handle, counts[i - 1]) end
  return totals(probe, counts, 0)
end

-- `probe.hits`, `probe.missed`: see M.new.
function Probe.__index(self, key)
  if key == "hits" or key == "missed" then return current(self)[key] end
  return Probe[key]
end

--- Closes all handles of the given probes at once, which costs about as much as closing one. Their programs do not run
-- any more when it returns, and their counts stay.
local function close(probes)
  local list = {}
  for _, probe in ipairs(probes) do
    for _, handle in ipairs(probe.handles) do list[#list + 1] = ffi.gc(handle, nil) end
  end
  if #list == 0 then return end
  local array, counts = handles_type(#list), counts_type(#list)
  for i, handle in ipairs(list) do array[i - 1] = handle end
  C.lp_probe_close_all(array, #list, counts)
  local from = 0
  for _, probe in ipairs(probes) do
    if #probe.handles > 0 then
      probe.final = totals(probe, counts, from)
      missed_before, live[probe] = missed_before + (probe.final.missed or 0), nil
    end
    from = from + #probe.handles
    probe.handles, probe.started = {}, false
  end
end

--- Detaches; calling it again does nothing.
function Probe:detach()
  takes.method(Probe, self, "detach")
  close { self }
  self.program.object:forget_probe(self)
end

local function check_attached(self, what)
  if #self.handles == 0 then err.misuse("probe %s is detached: it cannot be %s", self.target, what) end
end

-- Before Linux 5.13 the kernel forgets where such a program goes once it is taken away.
local function goes_only_once(self)
  return self.mechanism == "tracing" and not self.target:find "^raw_tracepoint:" and not C.lp_kernel_at_least(5, 13)
end

--- Stops the program from running at this probe, which stays attached.
-- @raise error of stage "attach" for mechanisms that cannot do so
function Probe:disable()
  takes.method(Probe, self, "disable")
  check_attached(self, "disabled")
  if self.mechanism == "multi" or goes_only_once(self) then
    err.raise { code = "EOPNOTSUPP", stage = "attach",
      message = ("%s: mechanism %s cannot disable a probe on this kernel"):format(self.target, self.mechanism),
      hint = "detach it and attach it again"
        .. (self.mechanism == "multi" and ", or attach by mechanism link or perf" or "") }
  end
  if not self.started then return end
  for _, handle in ipairs(self.handles) do err.check(C.lp_probe_stop(handle)) end
  self.started = false
end

--- Lets the program run again.
-- @raise error of stage "attach"
function Probe:enable()
  takes.method(Probe, self, "enable")
  check_attached(self, "enabled")
  if self.started then return end
  self:start()
end

-- Binds the program to all handles; when one fails, those before it are stopped. Returns the error, or nil.
local function start_all(self)
  local program = self.program
  for i, handle in ipairs(self.handles) do
    if C.lp_probe_start(handle, program.object.handle, program.index) < 0 then
      local reason = program:told(err.last())
      for j = 1, i - 1 do C.lp_probe_stop(self.handles[j]) end
      return reason
    end
  end
end

-- Where the kernel has no mechanism multi, or does not know one of the functions, the other ways are taken, which also
-- tell which function it is.
local function open_without_multi(self)
  close { self }
  local handles, failure = self.without_multi()
  self.without_multi = nil
  if not handles then return self.program:told(failure) end
  self.handles, self.functions = handles, count_functions(handles)
  self.mechanism = ffi.string(C.lp_probe_mechanism(handles[1]))
end

--- Opens the functions in another way than by mechanism multi, where the kernel has none.
-- @raise error of stage "attach"
function Probe:leave_multi()
  local failure = self.without_multi and open_without_multi(self)
    or not self.without_multi and self.mechanism == "multi" and { code = "EOPNOTSUPP", stage = "attach",
      message = ("%s: this kernel has no mechanism multi"):format(self.target) }
  if failure then err.raise(failure) end
end

--- Lets the program run.
-- @raise error of stage "attach"; then nothing runs
function Probe:start()
  local failure = start_all(self)
  if failure and self.without_multi and (failure.code == "EOPNOTSUPP" or failure.code == "ENOENT") then
    failure = open_without_multi(self) or start_all(self)
  end
  if failure then err.raise(failure) end
  self.started = true
end

function Probe:__tostring()
  local state = #self.handles == 0 and "detached" or self.started and self.mechanism or self.mechanism .. ", disabled"
  return ("probe %s (%s)"):format(self.target, state)
end

local M = { close = close }

--- The probes that are attached now, in no order.
-- @treturn {luaprobe.probe,…}
function M.attached()
  local list = {}
  for probe in pairs(live) do
    if #probe.handles > 0 then list[#list + 1] = probe end
  end
  return list
end

--- How often probes of this process missed, as far as the kernel tells.
function M.missed()
  local total = missed_before
  for probe in pairs(live) do total = total + (probe.missed or 0) end
  return total
end

--- A probe of open handles.
--
-- `hits`: how often the program ran there, which the kernel counts only on request (`stats = true` when attaching; a
-- few dozen nanoseconds per run). Without it, and when the program is attached by several probes at once, nil; by
-- mechanism legacy what tracefs counted, which begins and ends a little beside the program. `missed`: how often it
-- should have run but did not: too many calls at once for a kretprobe, or a program interrupting itself. nil where the
-- kernel does not tell: before Linux 6.7 it tells only of kprobes by legacy and of mechanism tracing; it never tells of
-- kprobes by perf, nor of uretprobes. Linux 5.10 counts page faults of the program's own reading as misses by legacy.
-- Both stay after detach.
-- @param program the luaprobe.program
-- @tparam string target as users write it
-- @tparam {cdata,…} handles struct lp_probe *, one per function or a single one for all
-- @tparam[opt] function without_multi opens them in another way, when the kernel has no multi
-- @treturn table `target`, `mechanism`, `program`, `functions` (how many), `hits`, `missed`, `:disable()`, `:enable()`,
--   `:detach()`
function M.new(program, target, handles, without_multi)
  local probe = setmetatable({
    program = program,
    target = target,
    handles = handles,
    functions = count_functions(handles),
    without_multi = without_multi,
    started = false,
    mechanism = ffi.string(C.lp_probe_mechanism(handles[1])),
    since = tonumber(C.lp_time_monotonic()),
  }, Probe)
  live[probe] = true
  return probe
end

return M
