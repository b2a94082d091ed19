/* buffer.h: one CPU's event buffer. See buffer.c. */
#ifndef LUAPROBE_BUFFER_H
#define LUAPROBE_BUFFER_H

#include "luaprobe.h"

struct perf_event_mmap_page;

struct lp_buffer {
    struct perf_event_mmap_page *control; /* the first page: head and tail */
    const uint8_t *data;
    size_t data_size; /* a power of two */
    uint64_t tail;    /* how far we have read; data_tail follows when the batch is released */
    uint8_t *wrapped; /* where a record that runs over the end is put together */
    uint64_t lost;    /* that records told of */
    uint64_t damaged; /* that could not be understood */
    uint32_t cpu;
    bool is_gone; /* its CPU is offline, or has got another one */
    int event_fd;
};

/* Describes a mapped buffer: a control page and then data_size bytes of records. 0 or -ENOMEM. */
int lp_buffer_init(struct lp_buffer *buffer, uint32_t cpu, void *pages, size_t page_size, size_t data_size);
/* Reads up to max records; they stay the buffer's until lp_buffer_release. */
int lp_buffer_read(struct lp_buffer *buffer, struct lp_event *events, int max);
/* Bytes that the kernel wrote and that were not given back yet. */
size_t lp_buffer_fill(const struct lp_buffer *buffer);
/* How far samples can be walked behind the one that lp_buffer_read(…, 1) gave. */
void lp_buffer_stretch(struct lp_buffer *buffer, struct lp_stretch *stretch);
/* The sample with these contents, behind the one that was read, is read as well. */
void lp_buffer_walked(struct lp_buffer *buffer, const uint8_t *contents);
/* Gives all that was read back to the kernel. */
void lp_buffer_release(struct lp_buffer *buffer);

#endif
