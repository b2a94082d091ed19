#!/usr/bin/env luaprobe
-- list: what can be probed on this machine.
local lp = require "luaprobe"

local args = lp.cli("list", "List the probes of this machine: kernel functions and tracepoints, or those of a binary.",
    { tracing = false })
  :flag("-v --verbose", "Show the arguments too: from the kernel's types, a tracepoint's format, a binary's notes.")
  :argument("pattern", "What to list, with *, ? and [abc]; everything when missing.", "?")
  :examples [[
  list 'vfs_*'                     # kernel functions and tracepoints of that name
  list -v kprobe:vfs_read          # with its arguments
  list 'tracepoint:sched:*'
  list 'uprobe:/usr/bin/bash:read*'
  list usdt:/usr/bin/python3]]
  :parse()

local found = lp.probes(args.pattern, args.verbose)
for _, probe in ipairs(found) do
  print(probe.arguments and probe.target .. " " .. probe.arguments or probe.target)
end
if #found == 0 then
  io.stderr:write("list: nothing on this machine matches\n")
  os.exit(1, true)
end
