#!/usr/bin/env luaprobe
-- opensnoop: print every open(2) with its result.
local lp = require "luaprobe"

local args = lp.cli("opensnoop", "Trace open(2), openat(2) and openat2(2): who opens which file, with which result.")
  :flag("-x --failed", "Only opens that failed.")
  :flag("-U --print-uid", "Show the user's id.")
  :flag("-e --extended", "Show the flags of the call, in octal as <fcntl.h> has them.")
  :examples [[
  opensnoop             # all opens on this machine, until Ctrl-C
  opensnoop -x -d 10    # those that fail, for ten seconds
  opensnoop -p 181      # those of process 181
  opensnoop -c nginx -T # those of processes named nginx, with the time]]
  :parse()

local object = lp.open("opensnoop", { const = { failed_only = args.failed or false, filter = args.filter } })
local probes = object:attach { first = { { "kprobe", "kretprobe", "raw_tracepoint" }, "tracepoint" } }

local out = lp.columns {
  args.timestamp and "TIME:-15", args.print_uid and "UID:-7", "PID:-7", "COMM:-16", "FD:>3", "ERR:>3",
  args.extended and "FLAGS:-8", "PATH",
}
for event in object.maps.events:each() do
  out:row(args.timestamp and lp.time_of_day(event.time), event.uid, event.pid, event.comm, event.fd, event.err,
    args.extended and ("%08o"):format(tonumber(event.flags)), event.path)
end

-- What is lost is said, as it was before detaching, where entries may outlive returns. An open that has not returned is
-- still under way, unless the kernel may have missed some.
local missed, under_way = object.data.missed, object.data.under_way
object:detach()
local by_returns, may_have_missed = false, false
for _, probe in ipairs(probes) do
  by_returns = by_returns or probe.program.returns
  if probe.program.returns and probe.missed ~= 0 then may_have_missed = true end
end
lp.missed(missed, ("missed %d opens: "):format(missed) .. (by_returns
  and ("too many were under way at once for --attach %s on this kernel"):format(probes[1].mechanism)
  or "their returns were not seen"))
if may_have_missed then
  lp.missed(under_way, ("%d opens had not returned yet, or were missed"):format(under_way))
end
