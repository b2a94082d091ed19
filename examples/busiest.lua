#!/usr/bin/env luaprobe
-- busiest: which processes open the most files?
local lp = require "luaprobe"

local args = lp.cli("busiest", "Count opens by process name, until Ctrl-C or for -d SECONDS."):parse()

local object = lp.open("opensnoop", { const = { filter = args.filter } })
object:attach { first = { { "kprobe", "kretprobe" }, "tracepoint" } }

local opens = {}
for event in object.maps.events:each() do
  local name = lp.text(event.comm)
  opens[name] = (opens[name] or 0) + 1
end

local names = {}
for name in pairs(opens) do names[#names + 1] = name end
table.sort(names, function(a, b) return opens[a] > opens[b] end)
local out = lp.columns { "OPENS:>8", "COMM" }
for i = 1, math.min(10, #names) do out:row(opens[names[i]], names[i]) end
