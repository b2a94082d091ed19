/*
 * source.c: reading events, whatever kind of buffer they come from.
 *
 * A batch is an array of pointers into the buffers. The memory behind it is given back when the next batch is asked
 * for, so a record is never overwritten while Lua looks at it, and nothing is copied (but see poison.c and order.c).
 */
#include "source.h"

#include <bpf/bpf.h>
#include <errno.h>

#include "error.h"
#include "order.h"
#include "poison.h"

size_t lp_power_of_two(size_t size)
{
    size_t power = 1;

    while (power < size)
        power *= 2;
    return power;
}

/* A mebibyte per CPU takes a burst of ten thousand small events; on large machines all together stay at 32 MiB. */
size_t lp_source_default_bytes(void)
{
    size_t bytes = (size_t)1 << 20;

    while (bytes > (size_t)1 << 18 && bytes * (size_t)lp_cpu_count() > (size_t)1 << 25)
        bytes /= 2;
    return bytes;
}

/* The kernel's number of a map; 0 when it does not tell. */
static uint32_t id_of(int map_fd)
{
    struct bpf_map_info info = {0};
    uint32_t length = sizeof(info);

    return bpf_obj_get_info_by_fd(map_fd, &info, &length) == 0 ? info.id : 0;
}

/* A second reader would put its own buffers into a perf event array, or its own position into a ring buffer. */
int lp_source_check_alone(int map_fd)
{
    uint32_t id = id_of(map_fd);

    if (id == 0 || !lp_wait_find(id))
        return 0;
    lp_error_set(EBUSY, "events", "its events are read already by another handle of this process (map id %u)", id);
    lp_error_hint("close the other one first: object:close(), or map:close() of one from lp.open_map");
    return -EBUSY;
}

int lp_source_begin(struct lp_source *source, int map_fd)
{
    source->map_id = id_of(map_fd);
    if (source->options.poison) {
        source->poison = lp_poison_new();
        if (!source->poison)
            return -ENOMEM;
    }
    lp_wait_enter(source);
    source->is_open = true;
    return 0;
}

/* Buffers are never fuller than just before something is given back, or when one asks. */
static void measure(struct lp_source *source)
{
    size_t fill = source->ops->fill(source);

    if (fill > source->peak)
        source->peak = fill;
    if (fill > source->high_water)
        source->high_water = fill;
}

void lp_source_release(struct lp_source *source)
{
    measure(source);
    source->ops->release(source);
}

static void count(struct lp_source *source, const struct lp_event *events, int number)
{
    source->events += (uint64_t)number;
    for (int i = 0; i < number; i++) {
        source->bytes += events[i].size;
        source->late += events[i].late;
    }
}

/*
 * How many bytes a loop may walk before it asks again: a small part of the buffer, since until then the kernel does not
 * get it back and other CPUs wait; but enough of it, since asking costs what dozens of events do.
 */
static size_t longest_stretch(const struct lp_source *source)
{
    enum { PART = 8, LEAST = 4096, MOST = 1 << 20 };
    size_t length = source->buffer_size / PART;

    if (length < LEAST)
        return LEAST;
    return length < MOST ? length : MOST;
}

/* What a loop has walked over is read. */
static void finish_stretch(struct lp_source *source)
{
    struct lp_stretch *stretch = &source->stretch;

    if (stretch->event && stretch->limit)
        source->ops->walked(source, stretch);
    source->events += stretch->events;
    source->bytes += stretch->bytes;
    *stretch = (struct lp_stretch){
        .stride = stretch->stride,
        .longest = stretch->longest,
        .least = stretch->least,
    };
}

struct lp_stretch *lp_source_stretch(struct lp_source *source)
{
    return source->ops->stretch && !source->order && !source->poison ? &source->stretch : NULL;
}

int lp_source_walk(struct lp_source *source)
{
    struct lp_stretch *stretch = &source->stretch;
    const uint8_t *furthest;
    struct lp_event event;

    finish_stretch(source);
    lp_source_release(source);
    if (source->ops->read(source, &event, 1) == 0) {
        source->ops->arm(source);
        return 0;
    }
    stretch->event = event.data;
    stretch->size = event.size;
    stretch->cpu = event.cpu;
    stretch->events = 1;
    stretch->bytes = event.size;
    source->ops->stretch(source, stretch);
    furthest = stretch->event + longest_stretch(source);
    if (stretch->limit > furthest)
        stretch->limit = furthest;
    return 1;
}

int lp_source_read(struct lp_source *source, struct lp_event *events, int max)
{
    int number;

    if (source->stretch.event)
        finish_stretch(source);
    if (source->poison)
        lp_poison_release(source->poison);
    if (!source->order)
        lp_source_release(source);
    number = source->order ? lp_order_read(source->order, source, events, max) : source->ops->read(source, events, max);
    if (number == 0)
        source->ops->arm(source);
    else if (source->poison)
        lp_poison_copy(source->poison, events, number);
    count(source, events, number);
    return number;
}

int lp_source_order(struct lp_source *source, uint32_t offset, int64_t delay)
{
    if (!source->order)
        source->order = lp_order_new((size_t)source->buffers * source->buffer_size);
    return source->order ? lp_order_set(source->order, offset, delay) : -1;
}

void lp_source_flush(struct lp_source *source)
{
    if (source->order)
        lp_order_flush(source->order);
}

uint32_t lp_source_peak(struct lp_source *source)
{
    uint32_t thousandths = (uint32_t)(source->peak * 1000 / source->buffer_size);

    source->peak = 0;
    return thousandths;
}

size_t lp_source_capacity(const struct lp_source *source)
{
    return (size_t)source->buffers * source->buffer_size;
}

uint64_t lp_source_bytes(const struct lp_source *source)
{
    return source->bytes + source->stretch.bytes;
}

/* What the program could not send, on a CPU or on all (-1). */
static uint64_t refused(const struct lp_source *source, int cpu)
{
    const struct lp_source_options *options = &source->options;
    uint64_t sum = 0;

    if (!options->refused)
        return 0;
    if (cpu >= 0)
        return __atomic_load_n(&options->refused[(uint32_t)cpu & (options->refused_count - 1)], __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < options->refused_count; i++)
        sum += __atomic_load_n(&options->refused[i], __ATOMIC_RELAXED);
    return sum;
}

/*
 * Both the buffers and the programs count what is lost; either can know more: not every program uses lp_output, and
 * perf buffers before Linux 6.0 do not tell of losses that no later event follows.
 */
static uint64_t lost(const struct lp_source *source, int cpu)
{
    uint64_t told = source->ops->lost(source, cpu);
    uint64_t counted = refused(source, cpu);

    return told > counted ? told : counted;
}

uint64_t lp_source_lost(const struct lp_source *source, uint32_t cpu)
{
    return lost(source, (int)cpu);
}

static bool may_have_lost(const struct lp_source *source)
{
    return !source->options.refused && source->ops->may_have_lost(source);
}

void lp_source_stats(struct lp_source *source, struct lp_source_stats *out)
{
    measure(source);
    *out = (struct lp_source_stats){
        .events = source->events + source->stretch.events,
        .bytes = source->bytes + source->stretch.bytes,
        .lost = lost(source, -1),
        .late = source->late,
        .high_water = source->high_water,
        .capacity = source->buffer_size,
        .buffers = source->buffers,
        .may_have_lost = may_have_lost(source),
    };
}

int lp_source_snapshot(struct lp_source *source, const struct lp_event **events)
{
    return source->ops->snapshot(source, events);
}

void lp_source_close(struct lp_source *source)
{
    if (!source)
        return;
    if (source->is_open) {
        finish_stretch(source);
        source->ops->release(source); /* whoever opens the map next goes on behind what was delivered */
    }
    lp_wait_forget(source);
    lp_order_free(source->order);
    lp_poison_free(source->poison);
    source->ops->close(source);
}
