/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * key.bpf.h: what count and latency group by: a number, a text, the address of a function, or a kernel stack.
 */
#ifndef LUAPROBE_KEY_BPF_H
#define LUAPROBE_KEY_BPF_H

#include "call.bpf.h"

#define LP_FRAMES 127 /* of a stack: the kernel's own limit */

struct key {
    __u64 words[4]; /* a number in the first, or 31 bytes of a text and its NUL */
};

const volatile struct fetch by = {};
const volatile _Bool by_stack = 0;

struct {
    __uint(type, BPF_MAP_TYPE_STACK_TRACE);
    __uint(max_entries, 4096);
    __uint(key_size, sizeof(__u32));
    __uint(value_size, LP_FRAMES * sizeof(__u64));
} stacks SEC(".maps");

/* Calls that found no room in a map. */
__u64 full = 0;
/* Calls whose return came without an entry, or whose entry found no room. */
__u64 unjoined = 0;

static __always_inline void lp_key(void *ctx, const __u64 *sources, struct key *key)
{
    __u64 failed;

    if (by_stack) {
        key->words[0] = (__u64)bpf_get_stackid(ctx, &stacks, 0);
    } else if (by.used) {
        __u64 value = lp_fetch(&by, sources, &failed);

        if (by.form == LP_NUMBER)
            key->words[0] = value;
        else
            lp_read_text(key, sizeof(*key), value, by.form);
    }
}

/* What a program does with who calls and what with. */
typedef int lp_handler(void *ctx, __u64 *sources, struct frame *frame, const char *comm);

static __always_inline int lp_entry(lp_regs *ctx, lp_handler *handle)
{
    __u64 sources[LP_SOURCES] = {};
    struct frame frame = {};
    char comm[LP_COMM_SIZE] = {};

    bpf_get_current_comm(comm, sizeof(comm));
    lp_at_entry(ctx, sources, &frame);
    return handle(ctx, sources, &frame, comm);
}

static __always_inline int lp_return(lp_regs *ctx, lp_handler *handle)
{
    __u64 sources[LP_SOURCES] = {};
    struct frame frame = {};
    char comm[LP_COMM_SIZE] = {};

    bpf_get_current_comm(comm, sizeof(comm));
    lp_at_return(ctx, sources, &frame);
    return handle(ctx, sources, &frame, comm);
}

static __always_inline int lp_tracepoint(void *ctx, lp_handler *handle)
{
    __u64 sources[LP_SOURCES] = {[LP_CONTEXT] = (__u64)ctx};
    struct frame frame = {};
    char comm[LP_COMM_SIZE] = {};

    bpf_get_current_comm(comm, sizeof(comm));
    return handle(ctx, sources, &frame, comm);
}

#endif
