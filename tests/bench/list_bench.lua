-- luaprobe list 'vfs_*', beside what the kernel alone takes to say which functions can be traced (cat). Prints the
-- medians.
--
--   tests/vm/run 6.12 -- luaprobe tests/bench/list_bench.lua
--
-- Exits 77 where the kernel does not say, 1 when the bar is missed: 300 ms; or 3 times what cat takes, where the
-- processor is emulated and cat alone needs most of that.
local C = require "luaprobe.cdef"
local traceable = require "luaprobe.traceable"

local RUNS = 7
local BUILD = os.getenv "LUAPROBE_BUILD" or "build"

if not traceable.by_ftrace "vfs_read" or C.lp_pmu_type "kprobe" < 0 then
  print "skipped: this kernel does not list its functions, or has no kprobes"
  os.exit(77, true)
end

local function time(command)
  local start = tonumber(C.lp_time_monotonic())
  assert(os.execute(command) == 0, command)
  return (tonumber(C.lp_time_monotonic()) - start) / 1e6
end

local LIST = BUILD .. "/luaprobe list 'vfs_*' >/dev/null"
-- In a mount namespace of its own, so that the machine's mounts stay as they are.
local CAT = [[unshare -m sh -c 'mount -t tracefs nodev /sys/kernel/tracing 2>/dev/null
  exec cat /sys/kernel/tracing/available_filter_functions >/dev/null']]

local list, cat = {}, {}
for i = 1, RUNS do list[i], cat[i] = time(LIST), time(CAT) end
table.sort(list)
table.sort(cat)
local middle = math.ceil(RUNS / 2)
local ours, peer = list[middle], cat[middle]
local met = ours <= math.max(300, 3 * peer)
print(("luaprobe list 'vfs_*': %.0f ms, cat available_filter_functions: %.0f ms, ratio %.2f (bar 300 ms or 3.00: %s)")
  :format(ours, peer, ours / peer, met and "met" or "MISSED"))
os.exit(met, true)
