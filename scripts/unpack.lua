#!/usr/bin/env luaprobe
-- unpack: take what `luaprobe pack` put into a script off again.
local lp = require "luaprobe"

local args = lp.cli("unpack", "Take the BPF objects that were packed into a script off again: what is left are the "
    .. "bytes that it was packed from.", { tracing = false })
  :argument("script", "The script; - for standard input.")
  :option("-o --output", "Where to write it; - for standard output. Without it the script itself is replaced.", "FILE")
  :examples "  unpack tool.lua -o - | diff - tool.lua.orig"
  :parse()

lp.unpack(args.script, args.output)
