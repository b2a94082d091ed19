-- Attaching to a thousand functions at once, beside libbpf's own kprobe.multi on the same kernel; and detaching a
-- hundred kprobes, beside detaching one. Prints the figures and the ratios of the medians.
--
--   tests/vm/run 6.12 -- luaprobe tests/bench/attach_many_bench.lua
--
-- Exits 77 where the kernel has no kprobe.multi, 1 when a bar is missed.
local C = require "luaprobe.cdef"
local ksyms = require "luaprobe.ksyms"
local lp = require "luaprobe"

local RUNS = 5
local BUILD = os.getenv "LUAPROBE_BUILD" or "build"
local OBJECT = BUILD .. "/tests/fixtures/probes.bpf.o"

local function now()
  return tonumber(C.lp_time_monotonic()) / 1e6
end

local function median(list)
  table.sort(list)
  return list[math.ceil(#list / 2)]
end

local function load(program)
  local object = lp.open(OBJECT)
  for _, other in ipairs(object.programs) do other:set_autoload(other.name == program) end
  object:load()
  return object, object.programs[program]
end

-- A pattern that stands for about a thousand functions.
local function pattern_of_a_thousand()
  for _, pattern in ipairs { "tcp_*", "bpf_*", "net*", "sk*", "x*", "v*", "f*", "p*" } do
    local count = #ksyms.traceable(pattern)
    if count >= 900 and count <= 2500 then return pattern, count end
  end
end

local function ours(pattern)
  local object, program = load "on_multi"
  ksyms.use(nil) -- as in a new process
  local start = now()
  local probe = program:attach { kprobe = pattern }
  local attached = now() - start
  local mechanism = probe.mechanism
  object:close()
  return attached, mechanism
end

local function peer(pattern)
  local pipe = io.popen(("%s/tests/multi_peer %s on_multi '%s' 2>&1"):format(BUILD, OBJECT, pattern))
  local text = pipe:read "*a"
  pipe:close()
  return tonumber(text:match "^[%d.]+") or error(text)
end

-- Milliseconds to detach the probe of a pattern.
local function detach(pattern, mechanism)
  local object, program = load "on_kprobe"
  local probe = program:attach { kprobe = pattern, mechanism = mechanism }
  local start = now()
  probe:detach()
  local time = now() - start
  object:close()
  return time, probe.functions
end

local function medians_of(...)
  local functions, times = { ... }, {}
  for i in ipairs(functions) do times[i] = {} end
  for _ = 1, RUNS do
    for i, measure in ipairs(functions) do times[i][#times[i] + 1] = (measure()) end
  end
  for i, list in ipairs(times) do times[i] = median(list) end
  return unpack(times)
end

local function verdict(ratio, bar)
  return ratio <= bar and "met" or "MISSED"
end

if C.lp_pmu_type "kprobe" < 0 then
  print "skipped: this kernel has no kprobes"
  os.exit(77, true)
end
local pattern, count = pattern_of_a_thousand()
local multi = pattern and select(2, ours(pattern)) == "multi"
if not multi then
  print "skipped: this kernel has no kprobe.multi"
  os.exit(77, true)
end

local attach_ours, attach_peer = medians_of(function() return ours(pattern) end, function() return peer(pattern) end)
local ratio = attach_ours / attach_peer
print(("attaching %d functions (%s): luaprobe %.1f ms, libbpf %.1f ms, ratio %.2f (bar 1.20: %s)"):format(
  count, pattern, attach_ours, attach_peer, ratio, verdict(ratio, 1.2)))
local hundred = { "vfs_*" }
local one, many = medians_of(function() return detach "vfs_read" end, function() return detach(hundred) end)
local functions = select(2, detach(hundred))
local detach_ratio = many / one
print(("detaching %d kprobes: %.1f ms, one: %.1f ms, ratio %.2f (bar 3.00: %s)"):format(
  functions, many, one, detach_ratio, verdict(detach_ratio, 3)))
os.exit(ratio <= 1.2 and detach_ratio <= 3, true)
