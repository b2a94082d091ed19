/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * filter.bpf.h: the process filters that every tool has, evaluated in the kernel.
 *
 * The values are read-only data, set before the program is loaded, so that the verifier removes what is not used.
 */
#ifndef LUAPROBE_FILTER_BPF_H
#define LUAPROBE_FILTER_BPF_H

#include "luaprobe.bpf.h"

/* 0 and "" mean any; the uid's "any" is not 0, which is root's. */
#define LP_ANY_UID ((__u32)-1)
#define LP_COMM_SIZE 16

struct filter {
    __u32 pid;
    __u32 tid;
    __u32 uid;
    _Bool cgroup; /* whether the task must be in the control group of lp_filter_cgroup, or in one below it */
    char comm[LP_COMM_SIZE];
};

const volatile struct filter filter = {.uid = LP_ANY_UID};

/* Made only when it is used, and filled by luaprobe after the load. */
struct {
    __uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
    __uint(max_entries, 1);
    __uint(key_size, sizeof(__u32));
    __uint(value_size, sizeof(__u32));
} lp_filter_cgroup SEC(".maps");

static __always_inline _Bool lp_comm_matches(void)
{
    char comm[LP_COMM_SIZE];

    if (bpf_get_current_comm(comm, sizeof(comm)))
        return 0;
    for (int i = 0; i < LP_COMM_SIZE; i++) {
        if (comm[i] != filter.comm[i])
            return 0;
        if (comm[i] == '\0')
            break;
    }
    return 1;
}

/* Whether the current thread is one that the user asked for. */
static __always_inline _Bool lp_filter_matches(void)
{
    if (filter.pid && filter.pid != bpf_get_current_pid_tgid() >> 32)
        return 0;
    if (filter.tid && filter.tid != (__u32)bpf_get_current_pid_tgid())
        return 0;
    if (filter.uid != LP_ANY_UID && filter.uid != (__u32)bpf_get_current_uid_gid())
        return 0;
    if (filter.cgroup && bpf_current_task_under_cgroup(&lp_filter_cgroup, 0) != 1)
        return 0;
    return !filter.comm[0] || lp_comm_matches();
}

#endif
