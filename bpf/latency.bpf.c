/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * latency.bpf.c: log2 histograms of the time between entry and return, by a key. A template: lua/luaprobe/latency.lua
 * says in read-only data what the key is, the unit, and which calls count.
 */
#include "key.bpf.h"

#define SLOTS 64 /* slot N: 2^(N-1) up to 2^N - 1 units; slot 0: none */

const volatile __u64 unit = 1; /* nanoseconds */

struct start {
    __u64 time;
    __u64 function;
    struct key key;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 10240);
    __type(key, struct frame);
    __type(value, struct start);
} starts SEC(".maps");

struct histogram {
    __u64 total; /* nanoseconds: sums of cut units would be too small */
    __u64 slots[SLOTS];
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
    __uint(max_entries, 1024);
    __type(key, struct key);
    __type(value, struct histogram);
} histograms SEC(".maps");

/* A histogram is too large for the stack, and starts as zeros. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct histogram);
} zeros SEC(".maps");

static __always_inline int enter(void *ctx, __u64 *sources, struct frame *frame, const char *comm)
{
    struct start start = {};

    lp_identify(ctx, sources, frame, comm);
    if (!lp_filter_matches() || !lp_conditions_hold(sources, 0))
        return 0;
    if (!by.at_return)
        lp_key(ctx, sources, &start.key);
    start.function = sources[LP_FUNCTION];
    start.time = bpf_ktime_get_ns();
    if (bpf_map_update_elem(&starts, frame, &start, BPF_ANY))
        __sync_fetch_and_add(&unjoined, 1);
    return 0;
}

/* How many bits a number has. */
static __always_inline __u32 width(__u64 number)
{
    __u32 bits = 0;

    for (int shift = 32; shift > 0; shift >>= 1) {
        __u64 high = number >> shift;
        __u64 mask = -(__u64)(high != 0);

        bits += (__u32)(mask & (__u64)shift);
        number = (number & ~mask) | (high & mask);
    }
    return bits + (__u32)(number != 0);
}

static __always_inline struct histogram *histogram_of(const struct key *key)
{
    struct histogram *histogram = bpf_map_lookup_elem(&histograms, key);
    struct histogram *none;
    __u32 zero = 0;

    if (histogram)
        return histogram;
    none = bpf_map_lookup_elem(&zeros, &zero);
    if (!none)
        return NULL;
    bpf_map_update_elem(&histograms, key, none, BPF_NOEXIST);
    return bpf_map_lookup_elem(&histograms, key);
}

static __always_inline void add(const struct key *key, __u64 duration)
{
    struct histogram *histogram = histogram_of(key);

    if (!histogram) {
        __sync_fetch_and_add(&full, 1);
        return;
    }
    histogram->slots[width(duration / unit) & (SLOTS - 1)] += 1;
    histogram->total += duration;
}

static __always_inline int leave(void *ctx, __u64 *sources, struct frame *frame, const char *comm)
{
    __u64 now = bpf_ktime_get_ns();
    struct start *start;
    struct key key;

    lp_identify(ctx, sources, frame, comm);
    start = bpf_map_lookup_elem(&starts, frame);
    if (!start)
        return 0;
    sources[LP_DURATION] = now - start->time;
    sources[LP_FUNCTION] = start->function;
    key = start->key;
    bpf_map_delete_elem(&starts, frame);
    if (!lp_conditions_hold(sources, 1))
        return 0;
    if (by.at_return)
        lp_key(ctx, sources, &key);
    add(&key, sources[LP_DURATION]);
    return 0;
}

SEC("kprobe")
int on_entry(lp_regs *ctx)
{
    return lp_entry(ctx, enter);
}

SEC("kretprobe")
int on_return(lp_regs *ctx)
{
    return lp_return(ctx, leave);
}

SEC("tracepoint")
int on_tracepoint(void *ctx)
{
    return lp_tracepoint(ctx, enter);
}

SEC("tracepoint")
int on_tracepoint_return(void *ctx)
{
    return lp_tracepoint(ctx, leave);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
