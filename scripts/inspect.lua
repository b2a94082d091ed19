#!/usr/bin/env luaprobe
-- inspect: what a script or a BPF object would do, without running any of it.
local lp = require "luaprobe"

local args = lp.cli("inspect", "Show what a script or a BPF object would do, without running any of it and without "
    .. "privileges: its programs, maps, BPF helpers (those that change something are marked), kernel types, the kernel "
    .. "it needs, what is packed in it, and the Lua libraries that the script asks for.", { tracing = false })
  :argument("file", "A script, the name of a built-in one, a BPF object, or - for a script on standard input.")
  :flag("--json", "Print it as one JSON object.")
  :examples [[
  inspect tool.lua
  inspect opensnoop --json | jq '.objects[].helpers[].name'
  curl -s URL | luaprobe inspect -]]
  :parse()

if not lp.inspect(args.file, args.json) then os.exit(1, true) end
