/*
 * perf_source.c: the event buffers of a perf event array, one per CPU (buffer.c).
 *
 * Nobody is woken per event, since the traced process pays for a wakeup: the kernel wakes us when a buffer is filled
 * to its watermark, and otherwise Lua looks in on a tick (lua/luaprobe/tick.lua).
 *
 * A CPU that goes offline takes its perf event with it: the buffer is still read to its end, and when the CPU comes
 * back it gets a new one. What it sent in between found none, which lp_output counts as lost.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buffer.h"
#include "error.h"
#include "flight.h"
#include "perf_buffer.h"
#include "source.h"

enum { MOST_BYTES = 64 << 20 };

struct perf_source {
    struct lp_source base;
    struct lp_buffer *buffers;
    int count;
    int next; /* the buffer that the next batch begins with, so that one busy CPU cannot starve the others */
    int last; /* the one that was read last */
    int map_fd;
    size_t page_size;
    uint64_t *lost_before; /* by CPU: what buffers that are closed had lost */
    uint32_t cpus;         /* that can have one */
    struct lp_flight *flight;
};

static struct perf_source *perf(struct lp_source *source)
{
    return (struct perf_source *)(void *)source;
}

static const struct perf_source *perf_const(const struct lp_source *source)
{
    return (const struct perf_source *)(const void *)source;
}

/* Opens one CPU's buffer and enters it into the map. A negative errno; ENODEV when the CPU is offline. */
static int open_buffer(struct perf_source *source, struct lp_buffer *buffer, uint32_t cpu)
{
    int error =
        lp_perf_buffer_open(buffer, cpu, source->base.buffer_size, source->page_size, source->base.options.overwrite);

    if (error != 0)
        return error;
    error = lp_wait_add(&source->base, buffer->event_fd, 0);
    if (error == 0)
        error = bpf_map_update_elem(source->map_fd, &cpu, &buffer->event_fd, BPF_ANY);
    if (error != 0)
        lp_perf_buffer_close(buffer, source->page_size);
    return error;
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

static int perf_read(struct lp_source *base, struct lp_event *events, int max)
{
    struct perf_source *source = perf(base);
    int count = 0;

    for (int i = 0; i < source->count && count < max; i++) {
        count += lp_buffer_read(&source->buffers[source->next], events + count, max - count);
        source->last = source->next;
        source->next = (source->next + 1) % source->count;
    }
    return count;
}

/* The buffer that the last read of one event was from. */
static struct lp_buffer *last_read(struct perf_source *source)
{
    return &source->buffers[source->last];
}

static void perf_stretch(struct lp_source *base, struct lp_stretch *stretch)
{
    lp_buffer_stretch(last_read(perf(base)), stretch);
}

static void perf_walked(struct lp_source *base, const struct lp_stretch *stretch)
{
    lp_buffer_walked(last_read(perf(base)), stretch->event);
}

/* A buffer whose CPU is gone, read to its end. */
static void drop(struct perf_source *source, int i)
{
    struct lp_buffer *buffer = &source->buffers[i];

    source->lost_before[buffer->cpu] += lp_perf_buffer_lost(buffer);
    lp_perf_buffer_close(buffer, source->page_size);
    *buffer = source->buffers[--source->count];
    source->next = 0;
}

static void perf_release(struct lp_source *base)
{
    struct perf_source *source = perf(base);

    if (base->options.overwrite)
        return;
    for (int i = source->count - 1; i >= 0; i--) {
        lp_buffer_release(&source->buffers[i]);
        if (source->buffers[i].is_gone && lp_buffer_fill(&source->buffers[i]) == 0)
            drop(source, i);
    }
}

static size_t perf_fill(const struct lp_source *base)
{
    const struct perf_source *source = perf_const(base);
    size_t most = 0;

    for (int i = 0; i < source->count && !base->options.overwrite; i++) {
        size_t fill = lp_buffer_fill(&source->buffers[i]);

        most = fill > most ? fill : most;
    }
    return most;
}

/* The kernel wakes at each crossing of the watermark by itself. */
static void perf_arm(struct lp_source *base)
{
    (void)base;
}

static uint64_t perf_lost(const struct lp_source *base, int cpu)
{
    const struct perf_source *source = perf_const(base);
    uint64_t sum = 0;

    for (uint32_t i = 0; i < source->cpus; i++) {
        if (cpu < 0 || i == (uint32_t)cpu)
            sum += source->lost_before[i];
    }
    for (int i = 0; i < source->count; i++) {
        if (cpu < 0 || source->buffers[i].cpu == (uint32_t)cpu)
            sum += lp_perf_buffer_lost(&source->buffers[i]);
    }
    return sum;
}

/* What is sent on a CPU without a buffer the kernel refuses, and tells only the program. */
static bool perf_may_have_lost(const struct lp_source *base)
{
    return perf_const(base)->count < sysconf(_SC_NPROCESSORS_ONLN);
}

/* ---- CPUs that come and go ------------------------------------------------------------------------------------ */

static void perf_cpu_changed(struct lp_source *base, uint32_t cpu, bool online)
{
    struct perf_source *source = perf(base);
    struct lp_buffer *buffers;

    if (cpu >= source->cpus)
        return;
    for (int i = 0; i < source->count; i++) {
        if (source->buffers[i].cpu == cpu)
            source->buffers[i].is_gone = true;
    }
    if (!online)
        return;
    buffers = realloc(source->buffers, (size_t)(source->count + 1) * sizeof(*buffers));
    if (!buffers)
        return;
    source->buffers = buffers;
    if (open_buffer(source, &buffers[source->count], cpu) == 0)
        source->count++;
    source->base.buffers = (uint32_t)source->count;
}

/* ---- the rest ------------------------------------------------------------------------------------------------- */

static int perf_snapshot(struct lp_source *base, const struct lp_event **events)
{
    struct perf_source *source = perf(base);

    if (!base->options.overwrite)
        return lp_error_set(EINVAL, "events", "only buffers that overwrite have a snapshot");
    if (!source->flight)
        source->flight = lp_flight_new();
    return lp_flight_take(source->flight, source->buffers, source->count, events);
}

static void perf_close(struct lp_source *base)
{
    struct perf_source *source = perf(base);

    for (int i = 0; i < source->count; i++)
        lp_perf_buffer_close(&source->buffers[i], source->page_size);
    lp_flight_free(source->flight);
    free(source->buffers);
    free(source->lost_before);
    free(source);
}

static const struct lp_source_ops perf_ops = {
    .read = perf_read,
    .release = perf_release,
    .stretch = perf_stretch,
    .walked = perf_walked,
    .fill = perf_fill,
    .arm = perf_arm,
    .lost = perf_lost,
    .may_have_lost = perf_may_have_lost,
    .cpu_changed = perf_cpu_changed,
    .snapshot = perf_snapshot,
    .close = perf_close,
};

static void explain(int error, size_t bytes)
{
    if (error == -EPERM || error == -EACCES) {
        lp_error_set(EPERM, "events", "an event buffer of %zu bytes per CPU is not permitted", bytes);
        lp_error_hint_permission();
    } else {
        lp_error_set(-error, "events", "an event buffer of %zu bytes per CPU cannot be opened: %s", bytes,
                     strerror(-error));
        if (error == -ENOMEM)
            lp_error_hint("ask for less: bytes = %zu", bytes / 2);
    }
}

/*
 * How many CPUs can have a buffer: all, or the first ones when the program's array has fewer entries. What is sent on
 * the others the kernel refuses.
 */
static uint32_t cpus_of(int map_fd)
{
    uint32_t cpus = (uint32_t)lp_cpu_count();
    struct bpf_map_info info = {0};
    uint32_t size = sizeof(info);

    if (bpf_obj_get_info_by_fd(map_fd, &info, &size) != 0)
        return cpus;
    return info.max_entries < cpus ? info.max_entries : cpus;
}

static int open_all(struct perf_source *source)
{
    for (uint32_t cpu = 0; cpu < source->cpus; cpu++) {
        int error = open_buffer(source, &source->buffers[source->count], cpu);

        if (error == 0)
            source->count++;
        else if (error != -ENODEV) /* an offline CPU has no events */
            return error;
    }
    source->base.buffers = (uint32_t)source->count;
    return 0;
}

struct lp_source *lp_source_open_perf(int map_fd, const struct lp_source_options *options)
{
    size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
    size_t bytes = options->bytes ? options->bytes : lp_source_default_bytes();
    int error = -ENOMEM;
    struct perf_source *source;

    if ((bytes & (bytes - 1)) != 0 || bytes < page_size || bytes > MOST_BYTES) {
        lp_error_set(EINVAL, "events", "an event buffer cannot have %zu bytes", bytes);
        lp_error_hint("it has a power of two of pages: %zu bytes to %d MiB", page_size, MOST_BYTES >> 20);
        return NULL;
    }
    if (lp_source_check_alone(map_fd) != 0)
        return NULL;
    source = calloc(1, sizeof(*source));
    if (!source) {
        explain(error, bytes);
        return NULL;
    }
    source->base.ops = &perf_ops;
    source->base.options = *options;
    source->base.buffer_size = bytes;
    source->map_fd = map_fd;
    source->page_size = page_size;
    source->cpus = cpus_of(map_fd);
    source->buffers = calloc(source->cpus, sizeof(*source->buffers));
    source->lost_before = calloc(source->cpus, sizeof(*source->lost_before));
    if (source->buffers && source->lost_before)
        error = open_all(source);
    if (error == 0)
        error = lp_source_begin(&source->base, map_fd);
    if (error == 0)
        return &source->base;
    explain(error, bytes);
    lp_source_close(&source->base);
    return NULL;
}
