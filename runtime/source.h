/*
 * source.h: what an event source is to the rest: a few operations on buffers that somebody else fills.
 *
 * perf_source.c and ring_source.c implement it for the kernel's two kinds of buffers. Everything else, from counting to
 * ordering by time, sees only this.
 */
#ifndef LUAPROBE_SOURCE_H
#define LUAPROBE_SOURCE_H

#include "luaprobe.h"

struct lp_source_ops {
    /* The next records, at most max; they stay the source's until release. */
    int (*read)(struct lp_source *source, struct lp_event *events, int max);
    /* Gives all that was read back. */
    void (*release)(struct lp_source *source);
    /* After a read of one event: how far the records behind it can be walked. NULL when they cannot. */
    void (*stretch)(struct lp_source *source, struct lp_stretch *stretch);
    /* The loop has moved to another event of that stretch. */
    void (*walked)(struct lp_source *source, const struct lp_stretch *stretch);
    /* Bytes in the fullest buffer: what was not given back yet, read or not. */
    size_t (*fill)(const struct lp_source *source);
    /* Nothing was left to read: asks to be woken at the watermark. */
    void (*arm)(struct lp_source *source);
    /* What the buffers themselves know to be lost on a CPU, or on all of them (-1). */
    uint64_t (*lost)(const struct lp_source *source, int cpu);
    /* Whether events may be lost that nobody counted; asked when the program does not count. */
    bool (*may_have_lost)(const struct lp_source *source);
    /* A CPU came or went; NULL when that changes nothing. */
    void (*cpu_changed)(struct lp_source *source, uint32_t cpu, bool online);
    int (*snapshot)(struct lp_source *source, const struct lp_event **events);
    void (*close)(struct lp_source *source);
};

struct lp_source {
    const struct lp_source_ops *ops;
    struct lp_source *next; /* all that are open, for the waiter */
    struct lp_source_options options;
    size_t buffer_size; /* bytes of one buffer */
    uint32_t buffers;
    uint32_t map_id; /* the kernel's number of what it reads */
    uint64_t events, bytes, late;
    size_t high_water;
    size_t peak; /* the same since lp_source_peak */
    bool is_open;
    struct lp_stretch stretch;
    struct lp_order *order;
    struct lp_poison *poison;
};

/* wait.c: where sources are waited for together. `mode` adds EPOLLET or EPOLLONESHOT. 0 or a negative errno. */
int lp_wait_add(struct lp_source *source, int fd, uint32_t mode);
/* Lets a descriptor added with EPOLLONESHOT wake once more. */
void lp_wait_again(struct lp_source *source, int fd, uint32_t mode);
/* For a descriptor that stays open; one that is closed is forgotten with that. */
void lp_wait_remove(int fd);
void lp_wait_forget(struct lp_source *source);
/* Enters a source into the list of those that are told of CPUs. */
void lp_wait_enter(struct lp_source *source);

/* The one that reads a map, or NULL. */
const struct lp_source *lp_wait_find(uint32_t map_id);

/* source.c: the first step of opening one of a map. 0, or a negative errno and the last error. */
int lp_source_check_alone(int map_fd);
/* The last step. 0 or a negative errno. */
int lp_source_begin(struct lp_source *source, int map_fd);

/* source.c: gives all that was read back, after a look at how full the buffers had become until then. */
void lp_source_release(struct lp_source *source);

/* The smallest power of two that is not less. */
size_t lp_power_of_two(size_t size);

#endif
