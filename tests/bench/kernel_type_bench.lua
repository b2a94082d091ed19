-- How long it takes to find one of the kernel's types: the first time in a process, beside libbpf doing the same (it
-- reads all types, and looks a name up by comparing it with each), and after that. Medians.
--
--   build/luaprobe tests/bench/kernel_type_bench.lua
--
-- Exits 77 where the kernel has no types, 1 when a bar is missed.
local C = require "luaprobe.cdef"
local lp = require "luaprobe"

local RUNS = 7
-- Of libbpf's time, which is 10 to 80 ms with the machine: ours is 4 to 13, and a look-up after that 3 to 15 us.
local FIRST, LATER = 0.6, 1 / 500
local host, build = arg[-1] or "build/luaprobe", os.getenv "LUAPROBE_BUILD" or "build"

if not pcall(lp.kernel_type, "struct task_struct") then
  print "skipped: this kernel has no types (/sys/kernel/btf/vmlinux)"
  os.exit(77)
end

local CODE = [[local C, lp = require "luaprobe.cdef", require "luaprobe"
local start = C.lp_time_monotonic()
lp.kernel_type "struct task_struct"
print(tonumber(C.lp_time_monotonic() - start))]]

local function nanoseconds(command)
  local pipe = io.popen(command)
  local number = tonumber(pipe:read "*l")
  pipe:close()
  return assert(number, command)
end

local function median(list)
  table.sort(list)
  return list[math.ceil(#list / 2)]
end

local ours, theirs = {}, {}
for i = 1, RUNS do
  ours[i] = nanoseconds(("%s -e '%s'"):format(host, CODE)) / 1e6
  theirs[i] = nanoseconds(build .. "/tests/btf_peer task_struct") / 1e6
end
local first = median(ours)
local ratio = first / median(theirs)
print(("first look-up    luaprobe %6.1f ms   libbpf %6.1f ms   ratio %.2f (bar %.2f)"):format(first, median(theirs),
  ratio, FIRST))

local names = { "file", "inode", "sk_buff", "sock", "dentry", "mm_struct", "page", "cred", "nsproxy", "request" }
local later = {}
for i, name in ipairs(names) do
  local start = C.lp_time_monotonic()
  lp.kernel_type("struct " .. name)
  later[i] = tonumber(C.lp_time_monotonic() - start) / 1e6
end
local other = median(later)
print(("other look-ups   luaprobe %6.1f us   ratio %.4f (bar %.4f)"):format(other * 1e3, other / median(theirs),
  LATER))
os.exit((ratio > FIRST or other > LATER * median(theirs)) and 1 or 0)
