/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * luaprobe.bpf.h: what BPF programs for luaprobe share.
 *
 * LP_EVENTS(events, struct event) declares an event stream once: the buffer, and the type of what is in it, which Lua
 * then knows without being told. It is a ring buffer where the kernel has one (Linux 5.8) and a perf buffer where not,
 * or where the script asks for one; which of them is settled when the object is loaded, and the verifier removes the
 * code for the other. Sending is the same for both:
 *
 *     lp_output(ctx, events, &event, sizeof(event));               copies an event, whose size may vary
 *
 *     struct event *event = lp_reserve(events, sizeof(*event));    or fills it where it will be read
 *     if (!event)
 *         return 0;                                                no room; it is counted
 *     event->pid = ...;
 *     lp_submit(ctx, events, event);                               or lp_discard(events, event)
 */
#ifndef LUAPROBE_BPF_H
#define LUAPROBE_BPF_H

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

/* Keeps clang from forgetting, or knowing too much about, the range of a variable that the verifier must see. */
#define lp_barrier(variable) asm volatile("" : "+r"(variable))

/* What could not be sent is counted by CPU: a power of two of counters, shared by CPUs on larger machines. */
#define LP_COUNTERS 1024

/*
 * Nobody shall be woken per event, because the traced process would pay for it. While luaprobe sleeps it sets `armed`;
 * the first event that then finds the buffer filled to the watermark wakes it. Other loaders leave the watermark at 0
 * and are woken as the kernel does it by itself.
 */
static __always_inline __u64 lp_wakeup(void *ring, __u64 watermark, __u32 *armed)
{
    if (!watermark)
        return 0;
    if (!*(volatile __u32 *)armed || bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) < watermark)
        return BPF_RB_NO_WAKEUP;
    *(volatile __u32 *)armed = 0;
    return BPF_RB_FORCE_WAKEUP;
}

/*
 * Sends to a perf buffer. The length of a record there has 16 bits, with 12 bytes of header and padding to 8 bytes; of
 * a larger one the kernel writes the lower bits and then more than it has made room for.
 */
#define LP_PERF_LARGEST 65516

static __always_inline long lp_perf_output(void *ctx, void *map, void *data, __u64 size)
{
    if (size > LP_PERF_LARGEST)
        return -7; /* E2BIG */
    return bpf_perf_event_output(ctx, map, BPF_F_CURRENT_CPU, data, size);
}

/* The largest value of a per-CPU map. Larger slots are entries of an array, of which luaprobe makes one for each CPU.
 */
#define LP_PERCPU_LARGEST 32768

/*
 * The event's type travels in the object's BTF, as the type of a pointer in a section of that name: libbpf ignores
 * sections it does not know, so the object stays loadable by others.
 *
 * lp_slots_of_events is where lp_reserve has an event on its way to a perf buffer, one for each CPU. A probe that hits
 * while the same CPU is filling it, an interrupt's for example, finds it taken, and its event is counted as lost.
 * LP_EVENTS_OF_SIZE(events, struct event, BYTES) makes the slot larger than the type, for a flexible array at its end.
 */
#define LP_EVENTS_OF_SIZE(map, event_type, slot_size)                                                                  \
    struct {                                                                                                           \
        __uint(type, BPF_MAP_TYPE_RINGBUF);                                                                            \
        __uint(max_entries, 1 << 20);                                                                                  \
    } map SEC(".maps");                                                                                                \
    struct lp_slot_of_##map {                                                                                          \
        __u32 taken;                                                                                                   \
        __u32 size;                                                                                                    \
        __u8 bytes[((slot_size) + 7) / 8 * 8] __attribute__((aligned(8)));                                             \
    };                                                                                                                 \
    struct {                                                                                                           \
        __uint(type,                                                                                                   \
               sizeof(struct lp_slot_of_##map) > LP_PERCPU_LARGEST ? BPF_MAP_TYPE_ARRAY : BPF_MAP_TYPE_PERCPU_ARRAY);  \
        __uint(max_entries, 1);                                                                                        \
        __type(key, __u32);                                                                                            \
        __type(value, struct lp_slot_of_##map);                                                                        \
    } lp_slots_of_##map SEC(".maps");                                                                                  \
    const volatile __u32 lp_perf_of_##map = 0;                                                                         \
    const volatile __u64 lp_watermark_of_##map = 0;                                                                    \
    __u32 lp_armed_of_##map = 0;                                                                                       \
    __u64 lp_lost_of_##map[LP_COUNTERS] = {};                                                                          \
    event_type *lp_event_of_##map SEC(".luaprobe") __attribute__((used))

#define LP_EVENTS(map, event_type) LP_EVENTS_OF_SIZE(map, event_type, sizeof(event_type))

#define lp_count_lost(map)                                                                                             \
    ((void)__sync_fetch_and_add(&lp_lost_of_##map[bpf_get_smp_processor_id() & (LP_COUNTERS - 1)], 1))

/* Sends an event; 0, or a negative errno when it found no room or is too large for the buffer, which is counted. */
#define lp_output(ctx, map, data, size)                                                                                \
    ({                                                                                                                 \
        long lp_error;                                                                                                 \
                                                                                                                       \
        if (lp_perf_of_##map)                                                                                          \
            lp_error = lp_perf_output(ctx, &map, data, size);                                                          \
        else                                                                                                           \
            lp_error =                                                                                                 \
                bpf_ringbuf_output(&map, data, size, lp_wakeup(&map, lp_watermark_of_##map, &lp_armed_of_##map));      \
        if (lp_error)                                                                                                  \
            lp_count_lost(map);                                                                                        \
        lp_error;                                                                                                      \
    })

/* Room for an event of `length` bytes, a constant; NULL when there is none, which is counted. */
#define lp_reserve(map, length)                                                                                        \
    ({                                                                                                                 \
        void *lp_event;                                                                                                \
                                                                                                                       \
        _Static_assert((length) <= sizeof(((struct lp_slot_of_##map *)0)->bytes),                                      \
                       "larger than the event type: declare the stream with LP_EVENTS_OF_SIZE");                       \
        if (lp_perf_of_##map) {                                                                                        \
            __u32 lp_key = sizeof(struct lp_slot_of_##map) > LP_PERCPU_LARGEST ? bpf_get_smp_processor_id() : 0;       \
            struct lp_slot_of_##map *lp_slot = bpf_map_lookup_elem(&lp_slots_of_##map, &lp_key);                       \
                                                                                                                       \
            lp_event = 0;                                                                                              \
            if (lp_slot && !lp_slot->taken) {                                                                          \
                lp_slot->taken = 1;                                                                                    \
                lp_slot->size = (length);                                                                              \
                lp_event = lp_slot->bytes;                                                                             \
            }                                                                                                          \
        } else {                                                                                                       \
            lp_event = bpf_ringbuf_reserve(&map, length, 0);                                                           \
        }                                                                                                              \
        if (!lp_event)                                                                                                 \
            lp_count_lost(map);                                                                                        \
        lp_event;                                                                                                      \
    })

/* Sends what lp_reserve gave. */
#define lp_submit(ctx, map, event)                                                                                     \
    do {                                                                                                               \
        if (lp_perf_of_##map) {                                                                                        \
            struct lp_slot_of_##map *lp_slot = (void *)(event) - __builtin_offsetof(struct lp_slot_of_##map, bytes);   \
            __u64 lp_size = lp_slot->size;                                                                             \
                                                                                                                       \
            lp_barrier(lp_size);                                                                                       \
            if (lp_size > sizeof(lp_slot->bytes) || lp_perf_output(ctx, &map, lp_slot->bytes, lp_size))                \
                lp_count_lost(map);                                                                                    \
            lp_slot->taken = 0;                                                                                        \
        } else {                                                                                                       \
            bpf_ringbuf_submit(event, lp_wakeup(&map, lp_watermark_of_##map, &lp_armed_of_##map));                     \
        }                                                                                                              \
    } while (0)

/* Gives back what lp_reserve gave: there is no event. */
#define lp_discard(map, event)                                                                                         \
    do {                                                                                                               \
        if (lp_perf_of_##map)                                                                                          \
            ((struct lp_slot_of_##map *)((void *)(event) - __builtin_offsetof(struct lp_slot_of_##map, bytes)))        \
                ->taken = 0;                                                                                           \
        else                                                                                                           \
            bpf_ringbuf_discard(event, BPF_RB_NO_WAKEUP);                                                              \
    } while (0)

#endif
