#!/usr/bin/env luaprobe
-- pack: put the BPF objects that a script needs into its own text.
local lp = require "luaprobe"

local args = lp.cli("pack", "Compile what a script needs of BPF (each lp.compile text, each object that lp.load or "
    .. "lp.open names) and append it to the script as text, in a Lua comment. The file then runs where there is no "
    .. "compiler. Packing it again replaces what was packed.", { tracing = false })
  :argument("script", "The script; - for standard input.")
  :option("-o --output", "Where to write it; - for standard output. Without it the script itself is replaced.", "FILE")
  :option("--arch", "For which processors: x86_64, arm64, or both, by commas. Without it for this one.", "LIST")
  :examples [[
  pack tool.lua                                # so that tool.lua runs without clang
  pack tool.lua -o - --arch x86_64,arm64 | ssh host luaprobe -]]
  :parse()

lp.pack(args.script, args.output, args.arch)
