#!/usr/bin/env luaprobe
-- execs: which programs are started, by whom? The kernel half is in this file, too.
local lp = require "luaprobe"

local args = lp.cli("execs", "Show each program that is started, until Ctrl-C or for -d SECONDS."):parse()

local program = lp.compile [[
#include "filter.bpf.h"

struct event {
    __u64 time; /* nanoseconds of CLOCK_MONOTONIC */
    __u32 pid;
    __u32 uid;
    char comm[LP_COMM_SIZE]; /* of the new program */
};

LP_EVENTS(events, struct event);

SEC("tracepoint/sched/sched_process_exec")
int on_exec(void *ctx)
{
    struct event event = {0};

    if (!lp_filter_matches())
        return 0;
    event.time = bpf_ktime_get_ns();
    event.pid = bpf_get_current_pid_tgid() >> 32;
    event.uid = (__u32)bpf_get_current_uid_gid();
    bpf_get_current_comm(event.comm, sizeof(event.comm));
    lp_output(ctx, events, &event, sizeof(event));
    return 0;
}

char LICENSE[] SEC("license") = "GPL";
]]

local object = lp.open(program, { const = { filter = args.filter } })
object:attach()

local out = lp.columns { args.timestamp and "TIME:-15", "PID:-7", "UID:-7", "COMM" }
for event in object.maps.events:each() do
  out:row(args.timestamp and lp.time_of_day(event.time), event.pid, event.uid, event.comm)
end
