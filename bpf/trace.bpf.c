/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * trace.bpf.c: one event per hit of a probe, with up to eight fields. A template: lua/luaprobe/trace.lua says in
 * read-only data what the fields are, which hits count, and whether entry and return become one event.
 */
#include "call.bpf.h"

#define FIELDS 9 /* eight, and the result of a joined call, which is no text */
#define TEXTS 8
#define FRAMES 127 /* of a stack: the kernel's own limit */

struct event {
    __u64 time;     /* nanoseconds of CLOCK_MONOTONIC, of the entry where there is one */
    __u64 duration; /* nanoseconds, of joined events */
    __u64 function; /* an address */
    __u32 pid;
    __u32 tid;
    __u32 uid;
    __u32 cpu;
    __s32 stack;  /* key of `stacks`, or a negative errno */
    __u32 failed; /* bit N: field N could not be read */
    __u32 cut;    /* bit N: field N was longer */
    __u32 unused;
    char comm[LP_COMM_SIZE];
    __u64 values[FIELDS];
    char texts[]; /* LP_TEXT_SIZE bytes each */
};

LP_EVENTS(events, struct event);

const volatile struct fetch fields[FIELDS] = {};
const volatile __u8 texts = 0;   /* how many of the fields are texts */
const volatile _Bool joined = 0; /* the entry waits for its return */
const volatile _Bool with_stack = 0;

__u64 hits = 0; /* events that were to be sent */
/* Returns without an entry are none of ours; these are entries that found no room. */
__u64 unjoined = 0;

struct record {
    char bytes[sizeof(struct event) + TEXTS * LP_TEXT_SIZE];
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct record);
} scratch SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 2048);
    __type(key, struct frame);
    __type(value, struct record);
} calls SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_STACK_TRACE);
    __uint(max_entries, 4096);
    __uint(key_size, sizeof(__u32));
    __uint(value_size, FRAMES * sizeof(__u64));
} stacks SEC(".maps");

static __always_inline void fetch_text(struct event *event, int i, __u64 address)
{
    char *text = event->texts + (fields[i].slot & (TEXTS - 1)) * LP_TEXT_SIZE;
    long length;

    if (fields[i].form == LP_BYTES) {
        length = lp_read(text, fields[i].size & 31, address, fields[i].user);
    } else {
        length = lp_read_text(text, LP_TEXT_SIZE, address, fields[i].form);
        event->cut |= (__u32)((__u64)(LP_TEXT_SIZE - 1 - length) >> 63) << i;
    }
    event->failed |= (__u32)((__u64)length >> 63) << i;
}

static __always_inline void fetch_fields(struct event *event, const __u64 *sources, _Bool at_return)
{
    for (int i = 0; i < FIELDS; i++) {
        __u64 failed;
        __u64 value;

        if (!fields[i].used)
            break;
        if (fields[i].at_return != at_return)
            continue;
        value = lp_fetch(&fields[i], sources, &failed);
        event->values[i] = value;
        event->failed |= (__u32)failed << i;
        if (fields[i].form != LP_NUMBER)
            fetch_text(event, i, value);
    }
}

/*
 * At the entry a page of user space may not be in memory yet, which a probe cannot wait for; the kernel has read it
 * since.
 */
static __always_inline void read_again(struct event *event)
{
    for (int i = 0; i < FIELDS; i++) {
        if (!fields[i].used)
            break;
        if (fields[i].form != LP_USER_TEXT || fields[i].at_return || !(event->failed & 1U << i))
            continue;
        event->failed &= ~(1U << i);
        fetch_text(event, i, event->values[i]);
    }
}

static __always_inline void send(void *ctx, struct event *event)
{
    __u32 size = sizeof(*event) + (texts & 15) * LP_TEXT_SIZE;

    __sync_fetch_and_add(&hits, 1);
    lp_output(ctx, events, event, size);
}

/* The event of this CPU, filled with who it is; NULL when the hit does not count. */
static __always_inline struct event *begin(void *ctx, __u64 *sources, struct frame *frame)
{
    __u32 zero = 0;
    struct event *event = bpf_map_lookup_elem(&scratch, &zero);

    if (!event || !lp_filter_matches())
        return NULL;
    bpf_get_current_comm(event->comm, sizeof(event->comm));
    lp_identify(ctx, sources, frame, event->comm);
    if (!lp_conditions_hold(sources, 0))
        return NULL;
    event->time = bpf_ktime_get_ns();
    event->duration = 0;
    event->function = sources[LP_FUNCTION];
    event->pid = (__u32)sources[LP_PID];
    event->tid = (__u32)sources[LP_TID];
    event->uid = (__u32)sources[LP_UID];
    event->cpu = (__u32)sources[LP_CPU];
    event->failed = 0;
    event->cut = 0;
    event->stack = with_stack ? (__s32)bpf_get_stackid(ctx, &stacks, 0) : -1;
    return event;
}

static __always_inline int enter(void *ctx, __u64 *sources, struct frame *frame)
{
    struct event *event = begin(ctx, sources, frame);

    if (!event)
        return 0;
    fetch_fields(event, sources, 0);
    if (!joined)
        send(ctx, event);
    else if (bpf_map_update_elem(&calls, frame, event, BPF_ANY))
        __sync_fetch_and_add(&unjoined, 1);
    return 0;
}

/* The call's own record in the map is completed and sent: it is taken out only afterwards. */
static __always_inline int leave(void *ctx, __u64 *sources, struct frame *frame)
{
    __u64 now = bpf_ktime_get_ns();
    struct event *event;

    frame->tid = (__u32)bpf_get_current_pid_tgid();
    event = bpf_map_lookup_elem(&calls, frame);
    if (!event)
        return 0;
    lp_identify(ctx, sources, frame, event->comm);
    event->duration = now - event->time;
    sources[LP_DURATION] = event->duration;
    sources[LP_FUNCTION] = event->function;
    if (lp_conditions_hold(sources, 1)) {
        fetch_fields(event, sources, 1);
        read_again(event);
        send(ctx, event);
    }
    bpf_map_delete_elem(&calls, frame);
    return 0;
}

SEC("kprobe")
int on_entry(lp_regs *ctx)
{
    __u64 sources[LP_SOURCES] = {};
    struct frame frame = {};

    lp_at_entry(ctx, sources, &frame);
    return enter(ctx, sources, &frame);
}

/* The return alone, or the second half of a joined call. */
SEC("kretprobe")
int on_return(lp_regs *ctx)
{
    __u64 sources[LP_SOURCES] = {};
    struct frame frame = {};

    lp_at_return(ctx, sources, &frame);
    return joined ? leave(ctx, sources, &frame) : enter(ctx, sources, &frame);
}

SEC("tracepoint")
int on_tracepoint(void *ctx)
{
    __u64 sources[LP_SOURCES] = {[LP_CONTEXT] = (__u64)ctx};
    struct frame frame = {};

    return enter(ctx, sources, &frame);
}

SEC("tracepoint")
int on_tracepoint_return(void *ctx)
{
    __u64 sources[LP_SOURCES] = {[LP_CONTEXT] = (__u64)ctx};
    struct frame frame = {};

    return leave(ctx, sources, &frame);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
