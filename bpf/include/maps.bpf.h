/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * maps.bpf.h: maps that tell when they are full, and counts that can be drained without losing one.
 *
 *     LP_HASH(calls, __u64, struct call, 10240);
 *     lp_update(calls, &id, &call, BPF_ANY);           a failed update is counted: obj.maps.calls.full_errors
 *
 *     LP_COUNTS(opens, struct key, __u64, 10240);
 *     lp_count(opens, &key, 1);                        adds to a key's number, from 0 on
 *
 *     struct totals *totals = lp_slot(opens, &key);    the same for a value of any type, zeros at first; NULL when full
 *     if (totals)
 *         __sync_fetch_and_add(&totals->bytes, size);
 */
#ifndef LUAPROBE_MAPS_BPF_H
#define LUAPROBE_MAPS_BPF_H

#include "luaprobe.bpf.h"

/* A hash map, and how often it was full. */
#define LP_HASH(map, key_type, value_type, entries)                                                                    \
    struct {                                                                                                           \
        __uint(type, BPF_MAP_TYPE_HASH);                                                                               \
        __uint(max_entries, entries);                                                                                  \
        __type(key, key_type);                                                                                         \
        __type(value, value_type);                                                                                     \
    } map SEC(".maps");                                                                                                \
    __u64 lp_full_of_##map = 0

/*
 * bpf_map_update_elem, with failures counted; BPF_NOEXIST is refused for another reason when the key is there. The
 * result is an int: before Linux 6.3 the upper half of a register with it is not its sign.
 */
#define lp_update(map, key, value, flags)                                                                              \
    ({                                                                                                                 \
        int lp_error = (int)bpf_map_update_elem(&map, key, value, flags);                                              \
        if (lp_error && lp_error != -17 /* EEXIST */)                                                                  \
            __sync_fetch_and_add(&lp_full_of_##map, 1);                                                                \
        lp_error;                                                                                                      \
    })

/*
 * Two hash maps, of which programs write to the one that is in the array's only slot. To drain them the other is put
 * there; the kernel lets that wait until no program uses the first any more (maybe_wait_bpf_programs, Linux 4.20), and
 * then its counts stand still. Taking entries out of a map in use would lose additions that are under way.
 */
#define LP_COUNTS(map, key_type, value_type, entries)                                                                  \
    struct map##_half {                                                                                                \
        __uint(type, BPF_MAP_TYPE_HASH);                                                                               \
        __uint(max_entries, entries);                                                                                  \
        __type(key, key_type);                                                                                         \
        __type(value, value_type);                                                                                     \
    } map##_0 SEC(".maps"), map##_1 SEC(".maps");                                                                      \
    struct {                                                                                                           \
        __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);                                                                      \
        __uint(max_entries, 1);                                                                                        \
        __type(key, __u32);                                                                                            \
        __array(values, struct map##_half);                                                                            \
    } map SEC(".maps") = {.values = {&map##_0}};                                                                       \
    value_type lp_zero_of_##map;                                                                                       \
    __u64 lp_full_of_##map = 0

/* A key's value in the half that is written now, made of zeros when there is none; NULL when there is no room. */
static __always_inline void *lp_slot_in(void *maps, const void *key, const void *zeros, __u64 *full)
{
    __u32 first = 0;
    void *half = bpf_map_lookup_elem(maps, &first);
    void *value = half ? bpf_map_lookup_elem(half, key) : 0;

    if (value || !half)
        return value;
    bpf_map_update_elem(half, key, zeros, BPF_NOEXIST);
    value = bpf_map_lookup_elem(half, key);
    if (!value)
        __sync_fetch_and_add(full, 1);
    return value;
}

#define lp_slot(map, key) lp_slot_in(&map, key, &lp_zero_of_##map, &lp_full_of_##map)

#define lp_count(map, key, number)                                                                                     \
    do {                                                                                                               \
        typeof(lp_zero_of_##map) *lp_value = lp_slot(map, key);                                                        \
        if (lp_value)                                                                                                  \
            __sync_fetch_and_add(lp_value, number);                                                                    \
    } while (0)

#endif
