#!/usr/bin/env luaprobe
-- gc: remove what killed luaprobe processes left in tracefs. Every run of luaprobe does so when it starts.
local lp = require "luaprobe"

lp.cli("gc", "Remove the tracefs events of luaprobe processes that are gone, and nobody else's.", { tracing = false })
  :examples "  gc"
  :parse()
print(("removed %d events"):format(lp.sweep()))
