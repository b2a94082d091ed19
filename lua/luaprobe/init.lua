--- The public table: everything that scripts use.
--
--     local lp = require "luaprobe"
-- @module luaprobe
local accounts = require "luaprobe.accounts"
local cli = require "luaprobe.cli"
local clock = require "luaprobe.clock"
local columns = require "luaprobe.columns"
local err = require "luaprobe.error"
local map = require "luaprobe.map"
local leftovers = require "luaprobe.leftovers"
local object = require "luaprobe.object"
local text = require "luaprobe.text"

return {
  --- Opens a BPF object, to adjust and attach it: see luaprobe.object.open.
  open = object.open,
  --- Opens a BPF object and loads it into the kernel: see luaprobe.object.load.
  load = object.load,
  --- The object of a C text: see luaprobe.compile.
  compile = function(...) return require("luaprobe.compile").compile(...) end, -- most runs do not need it
  --- Packs a script: see luaprobe.packing.pack.
  pack = function(...) return err.as_command(require("luaprobe.packing").pack, ...) end,
  --- Unpacks a script: see luaprobe.packing.unpack.
  unpack = function(...) return err.as_command(require("luaprobe.packing").unpack, ...) end,
  --- Shows what a script or an object would do: see luaprobe.inspect.of.
  inspect = function(...) return err.as_command(require("luaprobe.inspect_text").run, ...) end,
  --- Tells what this machine gives, and whether a script would run here: see luaprobe.check.run.
  check = function(...) return err.as_command(require("luaprobe.check").run, ...) end,
  --- Opens a map that is pinned in a BPF file system: see luaprobe.map.open.
  open_map = map.open,
  --- Takes a pin away: see luaprobe.map.unpin.
  unpin = map.unpin,
  --- What can be probed on this machine: see luaprobe.probes.list.
  probes = function(...) return require("luaprobe.probes").list(...) end,
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
  --- The name of a kernel address: see luaprobe.ksyms.symbol.
  ksym = function(...) return require("luaprobe.ksyms").symbol(...) end,
  --- What is attached, since when, with hits, rate and losses: see luaprobe.session.list.
  session = function() return require("luaprobe.session").list() end,
  --- Detaches everything: see luaprobe.session.detach_all.
  detach_all = function() return require("luaprobe.session").detach_all() end,
  --- Writes what was typed at the prompt as a script: see luaprobe.session.save.
  save = function(...) return require("luaprobe.session").save(...) end,
  --- Removes what killed luaprobe processes left in tracefs: see luaprobe.leftovers.sweep.
  sweep = leftovers.sweep,
  --- Calls a function for each event of a map: see luaprobe.loop.on. The loop is there when a script asks for it.
  on = function(...) return require("luaprobe.loop").on(...) end,
  --- Calls a function every so many seconds: see luaprobe.loop.every.
  every = function(...) return require("luaprobe.loop").every(...) end,
  --- Calls a function once: see luaprobe.loop.after.
  after = function(...) return require("luaprobe.loop").after(...) end,
  --- Delivers events and calls timers: see luaprobe.loop.run.
  run = function(...) return require("luaprobe.loop").run(...) end,
  --- Ends lp.run: see luaprobe.loop.stop.
  stop = function() return require("luaprobe.loop").stop() end,
  --- Copies an event, or a struct of a map, to keep it: see luaprobe.record.copy.
  copy = function(event) return require("luaprobe.record").copy(event) end,
  --- What was delivered, lost and missed so far: see luaprobe.accounts.stats.
  stats = accounts.stats,
  --- Tells that something could not be followed: see luaprobe.accounts.missed.
  missed = accounts.missed,
  --- A tool's command line: see luaprobe.cli.new.
  cli = cli.new,
  --- Aligned output: see luaprobe.columns.new.
  columns = columns.new,
  --- A value of an event as text that is safe to print: see luaprobe.text.of.
  text = text.of,
  --- Prints a value as a line of JSON: see luaprobe.json.print.
  json = function(...) return require("luaprobe.json").print(...) end,
  --- The time of day of a kernel timestamp: see luaprobe.clock.time_of_day.
  time_of_day = clock.time_of_day,
}
