/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * luaprobe.bpf.h: what BPF programs for luaprobe share.
 *
 * LP_EVENTS(events, struct event) declares an event stream once: the buffer, and the type of what is in it, which Lua
 * then knows without being told. lp_output(ctx, events, &event, sizeof(event)) sends an event to it.
 */
#ifndef LUAPROBE_BPF_H
#define LUAPROBE_BPF_H

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

/* Keeps clang from forgetting, or knowing too much about, the range of a variable that the verifier must see. */
#define lp_barrier(variable) asm volatile("" : "+r"(variable))

/*
 * The type travels in the object's BTF, as the type of a pointer in a section of that name: libbpf ignores sections
 * it does not know, so the object stays loadable by others.
 */
#define LP_EVENTS(map, event_type)                                                                                     \
    struct {                                                                                                           \
        __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);                                                                   \
        __uint(key_size, sizeof(__u32));                                                                               \
        __uint(value_size, sizeof(__u32));                                                                             \
    } map SEC(".maps");                                                                                                \
    __u64 lp_lost_of_##map = 0;                                                                                        \
    event_type *lp_event_of_##map SEC(".luaprobe") __attribute__((used))

/*
 * Sends an event. One that finds its buffer full is counted here as well as by the buffer, which before Linux 6.0 does
 * not tell of losses that no later event follows.
 */
#define lp_output(ctx, map, data, size)                                                                                \
    do {                                                                                                               \
        if (bpf_perf_event_output(ctx, &map, BPF_F_CURRENT_CPU, data, size))                                           \
            __sync_fetch_and_add(&lp_lost_of_##map, 1);                                                                \
    } while (0)

#endif
