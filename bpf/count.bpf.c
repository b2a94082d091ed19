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

/* Which function a call is of, for its return, on kernels before 5.15. */
const volatile _Bool recall_function = 0;

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 10240);
    __type(key, struct frame);
    __type(value, __u64);
} functions SEC(".maps");

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

    lp_identify(ctx, sources, frame, comm);
    if (!lp_filter_matches() || !lp_conditions_hold(sources, 0))
        return 0;
    lp_key(ctx, sources, &key);
    add_one(&key);
    return 0;
}

SEC("kprobe")
int on_entry(lp_regs *ctx)
{
    return lp_entry(ctx, hit);
}

SEC("kprobe")
int remember_function(lp_regs *ctx)
{
    __u64 sources[LP_SOURCES] = {};
    struct frame frame = {.tid = (__u32)bpf_get_current_pid_tgid()};

    lp_at_entry(ctx, sources, &frame);
    if (bpf_map_update_elem(&functions, &frame, &sources[LP_FUNCTION], BPF_ANY))
        __sync_fetch_and_add(&unjoined, 1);
    return 0;
}

/* False for a call that was under way when the entry was attached. */
static __always_inline _Bool recall(__u64 *sources, struct frame *frame)
{
    __u64 *function;

    frame->tid = (__u32)bpf_get_current_pid_tgid();
    function = bpf_map_lookup_elem(&functions, frame);
    if (!function)
        return 0;
    sources[LP_FUNCTION] = *function;
    bpf_map_delete_elem(&functions, frame);
    return 1;
}

static __always_inline int hit_of_known(void *ctx, __u64 *sources, struct frame *frame, const char *comm)
{
    return recall_function && !recall(sources, frame) ? 0 : hit(ctx, sources, frame, comm);
}

SEC("kretprobe")
int on_return(lp_regs *ctx)
{
    return lp_return(ctx, hit_of_known);
}

SEC("tracepoint")
int on_tracepoint(void *ctx)
{
    return lp_tracepoint(ctx, hit);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
