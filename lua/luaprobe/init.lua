--- The public table: everything that scripts use.
--
--     local lp = require "luaprobe"
-- @module luaprobe
local cli = require "luaprobe.cli"
local clock = require "luaprobe.clock"
local columns = require "luaprobe.columns"
local map = require "luaprobe.map"
local leftovers = require "luaprobe.leftovers"
local object = require "luaprobe.object"
local text = require "luaprobe.text"

return {
  --- Opens a BPF object, to adjust and attach it: see luaprobe.object.open.
  open = object.open,
  --- Opens a BPF object and loads it into the kernel: see luaprobe.object.load.
  load = object.load,
  --- Opens a map that is pinned in a BPF file system: see luaprobe.map.open.
  open_map = map.open,
  --- Takes a pin away: see luaprobe.map.unpin.
  unpin = map.unpin,
  --- What can be probed on this machine: see luaprobe.probes.list.
  probes = function(...) return require("luaprobe.probes").list(...) end, -- most runs do not need it
  --- A type of the running kernel, by its C name: see luaprobe.kernel.find.
  kernel_type = function(...) return require("luaprobe.kernel").find(...) end,
  --- Prints any value, structs with their members' names: see luaprobe.pretty.print.
  pretty = function(...) return require("luaprobe.pretty").print(...) end,
  --- A struct or an array as a Lua table: see luaprobe.pretty.totable.
  totable = function(...) return require("luaprobe.pretty").totable(...) end,
  --- Counts hits of a probe in the kernel: see luaprobe.count.new.
  count = function(...) return require("luaprobe.count").new(...) end,
  --- Shows each hit of a probe, with fields: see luaprobe.trace.new.
  trace = function(...) return require("luaprobe.trace").new(...) end,
  --- Measures the time between entry and return: see luaprobe.latency.new.
  latency = function(...) return require("luaprobe.latency").new(...) end,
  --- Draws a histogram: see luaprobe.hist.text.
  hist = function(...) return require("luaprobe.hist").text(...) end,
  --- The name of a kernel address: see luaprobe.ksyms.text.
  ksym = function(...) return require("luaprobe.ksyms").text(...) end,
  --- What is attached, since when, with hits, rate and losses: see luaprobe.session.list.
  session = function() return require("luaprobe.session").list() end,
  --- Detaches everything: see luaprobe.session.detach_all.
  detach_all = function() return require("luaprobe.session").detach_all() end,
  --- Writes what was typed at the prompt as a script: see luaprobe.session.save.
  save = function(path) return require("luaprobe.session").save(path) end,
  --- Removes what killed luaprobe processes left in tracefs: see luaprobe.leftovers.sweep.
  sweep = leftovers.sweep,
  --- A tool's command line: see luaprobe.cli.new.
  cli = cli.new,
  --- Aligned output: see luaprobe.columns.new.
  columns = columns.new,
  --- A value of an event as text that is safe to print: see luaprobe.text.of.
  text = text.of,
  --- The time of day of a kernel timestamp: see luaprobe.clock.time_of_day.
  time_of_day = clock.time_of_day,
}
