#!/usr/bin/env luaprobe
-- check: what this machine gives, and whether a script would run here.
local lp = require "luaprobe"

local args = lp.cli("check", "Show what this machine gives to luaprobe, with the mend for each lack. With a script: "
    .. "whether each of its programs would load and attach here; they are loaded and their targets looked up, the "
    .. "script is not run and no probe is enabled.", { tracing = false })
  :argument("script", "A script, the name of a built-in one, a BPF object, or - for a script on standard input.", "?")
  :flag("--json", "Print it as one JSON array.")
  :examples [[
  check             # the machine
  check opensnoop   # its programs: a script needs one set of them, not all]]
  :parse()

if not lp.check(args.script, args.json) then os.exit(1, true) end
