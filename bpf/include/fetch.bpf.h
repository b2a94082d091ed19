/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fetch.bpf.h: what a field expression comes to, as data: start at a source, read memory some times, cut out bits.
 *
 * lua/luaprobe/fetch.lua compiles "file->f_path.dentry->d_name.name:str" into a struct fetch that lies in read-only
 * data. So the verifier knows every number in it, walks only the reads that there are, and removes the rest. The loops
 * are bounded and free of branches on what was read: the number of paths does not grow with the number of fields.
 */
#ifndef LUAPROBE_FETCH_BPF_H
#define LUAPROBE_FETCH_BPF_H

#include "filter.bpf.h"
#include "probe.bpf.h"

#define LP_READS 6       /* four members, and array indices through pointers */
#define LP_TEXT_SIZE 256 /* bytes of a string, its NUL included */
#define LP_MATCH_SIZE 64 /* of one that is compared */
#define LP_CONDITIONS 6

/* Where a fetch starts; fetch.lua has the same numbers. */
enum lp_source {
    LP_ARGUMENT, /* and the next five */
    LP_RETURNED = 6,
    LP_CONTEXT, /* the address of a tracepoint's record */
    LP_PID,
    LP_TID,
    LP_UID,
    LP_CPU,
    LP_FUNCTION, /* the address of the probed instruction, or the probe's cookie */
    LP_DURATION,
    LP_COMM, /* the address of the thread's name */
    LP_SOURCES = 16
};

enum lp_form { LP_NUMBER, LP_TEXT, LP_USER_TEXT, LP_BYTES };

struct fetch {
    __u8 used;
    __u8 at_return; /* evaluated when the call returns */
    __u8 source;    /* enum lp_source */
    __u8 form;      /* enum lp_form */
    __u8 reads;     /* how many times memory is read at value + offsets[i]; all but the last read pointers */
    __u8 user;      /* from user space */
    __u8 size;      /* bytes of the last read, or of LP_BYTES */
    __u8 slot;      /* which of an event's texts */
    __u8 left;      /* then the value is shifted to the left, */
    __u8 right;     /* and to the right again: bit-fields, and integers of less than 64 bits */
    __u8 is_signed;
    __u8 data_location; /* 1: the value is a tracepoint's __data_loc; 2: a __rel_loc, relative to the end of itself */
    __u32 add;          /* at last; texts only */
    __u32 offsets[LP_READS];
};

static __always_inline long lp_read(void *to, __u32 size, __u64 from, _Bool user)
{
    return user ? bpf_probe_read_user(to, size, (const void *)from)
                : bpf_probe_read_kernel(to, size, (const void *)from);
}

/* The value, or the address of a text. What cannot be read is 0 and counted in *failed, 0 or 1. */
static __always_inline __u64 lp_fetch(const volatile struct fetch *fetch, const __u64 *sources, __u64 *failed)
{
    __u64 value = sources[fetch->source & (LP_SOURCES - 1)];
    __u64 error = 0;

    for (int i = 0; i < LP_READS; i++) {
        __u64 from = value + fetch->offsets[i];
        __u32 size = 8;

        if (i >= fetch->reads)
            break;
        if (i + 1 == fetch->reads)
            size = fetch->size;
        value = 0;
        error |= (__u64)lp_read(&value, size & 15, from, fetch->user);
    }
    *failed = error >> 63;
    if (fetch->data_location)
        value = sources[LP_CONTEXT] + (value & 0xffff) + (fetch->data_location == 2 ? fetch->offsets[0] + 4 : 0);
    if (fetch->form != LP_NUMBER)
        return value + fetch->add;
    value <<= fetch->left & 63;
    return fetch->is_signed ? (__u64)((__s64)value >> (fetch->right & 63)) : value >> (fetch->right & 63);
}

static __always_inline long lp_read_text(void *to, __u32 size, __u64 from, __u8 form)
{
    return form == LP_USER_TEXT ? bpf_probe_read_user_str(to, size, (const void *)from)
                                : bpf_probe_read_kernel_str(to, size, (const void *)from);
}

/* ---- where ---------------------------------------------------------------------------------------------------- */

enum lp_operation { LP_EQUAL = 1, LP_DIFFERENT, LP_LESS, LP_AT_MOST, LP_MORE, LP_AT_LEAST };

struct condition {
    struct fetch left;
    __u64 right;
    __u8 operation;
    __u8 is_signed;
    __u8 length; /* of text, below LP_MATCH_SIZE */
    __u8 prefix; /* only the beginning is compared */
    char text[LP_MATCH_SIZE];
};

const volatile struct condition conditions[LP_CONDITIONS] = {};

static __always_inline _Bool lp_text_differs(const volatile struct condition *condition, __u64 address)
{
    char text[LP_MATCH_SIZE] = {};
    char difference = 0;

    lp_read_text(text, sizeof(text), address, condition->left.form);
    for (int i = 0; i < LP_MATCH_SIZE - 1; i++) {
        if (i >= condition->length)
            break;
        difference |= text[i] ^ condition->text[i];
    }
    if (!condition->prefix)
        difference |= text[condition->length & (LP_MATCH_SIZE - 1)];
    return difference != 0;
}

static __always_inline _Bool lp_compare(const volatile struct condition *condition, __u64 left)
{
    __u64 right = condition->right;
    _Bool less = condition->is_signed ? (__s64)left < (__s64)right : left < right;

    switch (condition->operation) {
    case LP_EQUAL:
        return left == right;
    case LP_DIFFERENT:
        return left != right;
    case LP_LESS:
        return less;
    case LP_AT_MOST:
        return less || left == right;
    case LP_MORE:
        return !less && left != right;
    default:
        return !less;
    }
}

static __always_inline _Bool lp_holds(const volatile struct condition *condition, const __u64 *sources)
{
    __u64 failed;
    __u64 left = lp_fetch(&condition->left, sources, &failed);

    if (condition->left.form == LP_NUMBER)
        return !failed && lp_compare(condition, left);
    return lp_text_differs(condition, left) == (condition->operation == LP_DIFFERENT);
}

/* Whether all conditions hold that can be told now. */
static __always_inline _Bool lp_conditions_hold(const __u64 *sources, _Bool at_return)
{
    for (int i = 0; i < LP_CONDITIONS; i++) {
        if (!conditions[i].operation)
            break;
        if (conditions[i].left.at_return == at_return && !lp_holds(&conditions[i], sources))
            return 0;
    }
    return 1;
}

#endif
