-- Attaching to a thousand functions at once, beside libbpf's own kprobe.multi on the same kernel; and detaching a
-- hundred kprobes, beside detaching one. Prints the figures and the ratios of the best of each.
--
--   tests/vm/run 6.12 -- luaprobe tests/bench/attach_many_bench.lua
--
-- Exits 77 where the kernel has no kprobes, 1 when a bar is missed.
local C = require "luaprobe.cdef"
local ksyms = require "luaprobe.ksyms"
local traceable = require "luaprobe.traceable"
local lp = require "luaprobe"

local RUNS = 9
local BUILD = os.getenv "LUAPROBE_BUILD" or "build"
local OBJECT = BUILD .. "/tests/fixtures/probes.bpf.o"

local function now()
  return tonumber(C.lp_time_monotonic()) / 1e6
end

-- Whatever else the machine does only adds to a time.
local function best(list)
  table.sort(list)
  return list[1]
end

local function load(program)
  local object = lp.open(OBJECT)
  for _, other in ipairs(object.programs) do other:set_autoload(other.name == program) end
  object:load()
  return object, object.programs[program]
end

-- Functions that can be traced, by name; a name that several have is refused.
local function a_thousand()
  local named, list = {}, {}
  for i, name in ipairs(traceable.find "[a-z]*") do named[i] = { name = name } end
  local symbols = ksyms.named(named)
  for _, each in ipairs(named) do
    if #list < 1000 and #symbols[each.name] == 1 then list[#list + 1] = each.name end
  end
  return list
end

local function ours(functions)
  local object, program = load "on_multi"
  local start = now()
  local probe = program:attach { kprobe = functions }
  local attached = now() - start
  object:close()
  return attached, probe.mechanism
end

local function peer(functions)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(table.concat(functions, "\n"), "\n")
  file:close()
  local pipe = io.popen(("%s/tests/multi_peer %s on_multi <%s 2>&1"):format(BUILD, OBJECT, path))
  local text = pipe:read "*a"
  pipe:close()
  os.remove(path)
  return tonumber(text:match "^[%d.]+") or error(text)
end

-- Milliseconds to detach the probe of a function, or of many.
local function detach(functions)
  local object, program = load "on_kprobe"
  local probe = program:attach { kprobe = functions }
  local start = now()
  probe:detach()
  local time = now() - start
  object:close()
  C.lp_probe_settle()
  return time, probe.mechanism
end

local function best_of(...)
  local functions, times = { ... }, {}
  for i in ipairs(functions) do times[i] = {} end
  for _ = 1, RUNS do
    for i, measure in ipairs(functions) do times[i][#times[i] + 1] = (measure()) end
  end
  for i, list in ipairs(times) do times[i] = best(list) end
  return unpack(times)
end

local function verdict(ratio, bar)
  return ratio <= bar and "met" or "MISSED"
end

if C.lp_pmu_type "kprobe" < 0 then
  print "skipped: this kernel has no kprobes"
  os.exit(77, true)
end
local functions = a_thousand()
local missed = false

if select(2, ours { functions[1], functions[2] }) == "multi" then
  local attach_ours, attach_peer = best_of(function() return ours(functions) end,
    function() return peer(functions) end)
  local ratio = attach_ours / attach_peer
  print(("attaching %d functions: luaprobe %.1f ms, libbpf %.1f ms, ratio %.2f (bar 1.20: %s)"):format(
    #functions, attach_ours, attach_peer, ratio, verdict(ratio, 1.2)))
  missed = ratio > 1.2
else
  print "attaching 1,000 functions is not compared: this kernel has no kprobe.multi"
end

local hundred = {}
for i = 1, 100 do hundred[i] = functions[i] end
local one, many = best_of(function() return detach(hundred[1]) end, function() return detach(hundred) end)
local ratio = many / one
print(("detaching 100 kprobes (%s): %.1f ms, one (%s): %.1f ms, ratio %.2f (bar 3.00: %s)"):format(
  select(2, detach(hundred)), many, select(2, detach(hundred[1])), one, ratio, verdict(ratio, 3)))
os.exit(not missed and ratio <= 3, true)
