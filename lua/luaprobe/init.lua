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
  --- The object of a C text: see luaprobe.compile.
  compile = function(...) return require("luaprobe.compile").compile(...) end, -- most runs do not need it
  --- Packs a script: see luaprobe.packing.pack.
  pack = function(...) return require("luaprobe.packing").pack(...) end,
  --- Unpacks a script: see luaprobe.packing.unpack.
  unpack = function(...) return require("luaprobe.packing").unpack(...) end,
  --- Shows what a script or an object would do: see luaprobe.inspect.of.
  inspect = function(...) return require("luaprobe.inspect_text").run(...) end,
  --- Tells what this machine gives, and whether a script would run here: see luaprobe.check.run.
  check = function(...) return require("luaprobe.check").run(...) end,
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
  --- Removes what killed luaprobe processes left in tracefs: see luaprobe.leftovers.sweep.
  sweep = leftovers.sweep,
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
