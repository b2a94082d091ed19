/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * count.bpf.c: counts how often a probe is hit, by a key. A template: lua/luaprobe/count.lua says in read-only data
 * what the key is and which hits count.
 */
#include "key.bpf.h"

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
    __uint(max_entries, 10240);
    __type(key, struct key);
    __type(value, __u64);
} counts SEC(".maps");

static __always_inline void add_one(const struct key *key)
{
    __u64 *count = bpf_map_lookup_elem(&counts, key);
    __u64 one = 1;

    if (count) {
        *count += 1;
    } else if (bpf_map_update_elem(&counts, key, &one, BPF_NOEXIST)) {
        /* Another CPU was faster, or the map is full. */
        count = bpf_map_lookup_elem(&counts, key);
        if (count)
            *count += 1;
        else
            __sync_fetch_and_add(&full, 1);
    }
}

static __always_inline int hit(void *ctx, __u64 *sources, struct frame *frame, const char *comm)
{
    struct key key = {};

    lp_identify(sources, frame, comm);
    if (!lp_filter_matches() || !lp_conditions_hold(sources, 0))
        return 0;
    lp_key(ctx, sources, &key);
    add_one(&key);
    return 0;
}

SEC("kprobe")
int on_entry(lp_regs *ctx)
{
    __u64 sources[LP_SOURCES] = {};
    struct frame frame = {};
    char comm[LP_COMM_SIZE] = {};

    bpf_get_current_comm(comm, sizeof(comm));
    lp_at_entry(ctx, sources, &frame);
    return hit(ctx, sources, &frame, comm);
}

SEC("kretprobe")
int on_return(lp_regs *ctx)
{
    __u64 sources[LP_SOURCES] = {};
    struct frame frame = {};
    char comm[LP_COMM_SIZE] = {};

    bpf_get_current_comm(comm, sizeof(comm));
    lp_at_return(ctx, sources, &frame);
    return hit(ctx, sources, &frame, comm);
}

SEC("tracepoint")
int on_tracepoint(void *ctx)
{
    __u64 sources[LP_SOURCES] = {[LP_CONTEXT] = (__u64)ctx};
    struct frame frame = {};
    char comm[LP_COMM_SIZE] = {};

    bpf_get_current_comm(comm, sizeof(comm));
    return hit(ctx, sources, &frame, comm);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
