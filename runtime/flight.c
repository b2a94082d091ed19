/*
 * flight.c: the last events before now, out of perf buffers that overwrite (a flight recorder).
 *
 * The kernel fills such a buffer backward (perf_event_attr.write_backward): data_head falls, the newest record begins
 * there, and behind each record follows an older one, until the first that is overwritten in part.
 *
 * A buffer is copied while it is written to. What came meanwhile is copied then, and what came during that; it has
 * overwritten the oldest, which do not count any more. Only for the last piece, which is short and for which all memory
 * is there, output to this one buffer is paused.
 */
#include "flight.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "error.h"

enum {
    HEAD = sizeof(struct perf_event_header) + sizeof(uint32_t), /* with the size of the raw sample */
    MOST_PASSES = 8,
    LITTLE = 1 << 16, /* bytes: so much can be copied while output is paused, and be there without a page fault */
    WRITING = 50000, /* nanoseconds in which a writer, whose CPU does nothing else meanwhile, has finished its record */
};

/* Of one buffer. Positions in it are what data_head counts. */
struct copy {
    uint8_t *bytes; /* twice the buffer's size: what came while it was copied is before the middle */
    size_t mapped;
    uint64_t start; /* the position in the middle */
    uint64_t head;  /* how far down it was copied */
};

struct lp_flight {
    struct copy *copies;
    int copies_room;
    struct lp_event *events;
    size_t count, events_room;
};

struct lp_flight *lp_flight_new(void)
{
    return calloc(1, sizeof(struct lp_flight));
}

void lp_flight_free(struct lp_flight *flight)
{
    if (!flight)
        return;
    for (int i = 0; i < flight->copies_room; i++)
        munmap(flight->copies[i].bytes, flight->copies[i].mapped);
    free(flight->copies);
    free(flight->events);
    free(flight);
}

/* ---- copying -------------------------------------------------------------------------------------------------- */

/* Address space for copies of so many buffers; memory is taken by what is copied to it. */
static bool make_room(struct lp_flight *flight, int count, size_t size)
{
    enum { FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE };
    struct copy *copies = flight->copies;

    if (count > flight->copies_room)
        copies = realloc(copies, (size_t)count * sizeof(*copies));
    if (!copies)
        return count == 0;
    flight->copies = copies;
    for (; flight->copies_room < count; flight->copies_room++) {
        size_t mapped = 2 * size + 1; /* for a string without a NUL */
        uint8_t *bytes = mmap(NULL, mapped, PROT_READ | PROT_WRITE, FLAGS, -1, 0);

        if (bytes == MAP_FAILED)
            return false;
        copies[flight->copies_room] = (struct copy){.bytes = bytes, .mapped = mapped};
    }
    return true;
}

static uint64_t head_of(const struct lp_buffer *buffer)
{
    return __atomic_load_n(&buffer->control->data_head, __ATOMIC_ACQUIRE);
}

/* How much there is behind a position: it began at 0 and falls. */
static size_t written(const struct lp_buffer *buffer, uint64_t head)
{
    return 0 - head < buffer->data_size ? (size_t)(0 - head) : buffer->data_size;
}

static uint8_t *place_of(const struct lp_buffer *buffer, const struct copy *copy, uint64_t position)
{
    return copy->bytes + buffer->data_size - (copy->start - position);
}

static void copy_bytes(const struct lp_buffer *buffer, const struct copy *copy, uint64_t position, size_t length)
{
    uint8_t *to = place_of(buffer, copy, position);
    size_t from = (size_t)position & (buffer->data_size - 1);
    size_t until_end = buffer->data_size - from < length ? buffer->data_size - from : length;

    memcpy(to, buffer->data + from, until_end);
    memcpy(to + until_end, buffer->data, length - until_end);
}

static void begin(const struct lp_buffer *buffer, struct copy *copy)
{
    copy->start = copy->head = head_of(buffer);
    copy_bytes(buffer, copy, copy->start, written(buffer, copy->start));
}

/* Copies what came since. Returns how much that was. */
static size_t catch_up(const struct lp_buffer *buffer, struct copy *copy)
{
    uint64_t head = head_of(buffer);
    size_t came = (size_t)(copy->head - head);

    if (copy->start - head > buffer->data_size) {
        begin(buffer, copy); /* nothing is left of what there was */
    } else {
        copy_bytes(buffer, copy, head, came);
        copy->head = head;
    }
    return came;
}

/* Copies what the kernel writes to next, for nothing but the pages that this takes. */
static void touch_ahead(const struct lp_buffer *buffer, const struct copy *copy)
{
    size_t room = buffer->data_size - (size_t)(copy->start - copy->head);
    size_t length = room < LITTLE ? room : LITTLE;

    copy_bytes(buffer, copy, copy->head - length, length);
}

static void pause_output(const struct lp_buffer *buffer, int on)
{
    (void)ioctl(buffer->event_fd, PERF_EVENT_IOC_PAUSE_OUTPUT, on);
}

/* Who sleeps can be late, and records are lost meanwhile. */
static void let_writer_finish(void)
{
    int64_t start = lp_time_monotonic();

    while (lp_time_monotonic() - start < WRITING)
        continue;
}

static void copy_buffer(const struct lp_buffer *buffer, struct copy *copy)
{
    begin(buffer, copy);
    for (int i = 0; i < MOST_PASSES && catch_up(buffer, copy) > LITTLE; i++)
        continue;
    touch_ahead(buffer, copy);
    pause_output(buffer, 1);
    let_writer_finish();
    (void)catch_up(buffer, copy);
    pause_output(buffer, 0);
}

/* ---- what is in a copy ---------------------------------------------------------------------------------------- */

static bool add_event(struct lp_flight *flight, struct lp_event event)
{
    if (flight->count == flight->events_room) {
        size_t room = flight->events_room ? 2 * flight->events_room : 1024;
        struct lp_event *events = realloc(flight->events, room * sizeof(*events));

        if (!events)
            return false;
        flight->events = events;
        flight->events_room = room;
    }
    flight->events[flight->count++] = event;
    return true;
}

/* Lists the samples in a copy of `size` bytes, then turns their order round: the oldest first. */
static bool list_samples(struct lp_flight *flight, const uint8_t *bytes, size_t size, uint32_t cpu)
{
    size_t first = flight->count;

    for (size_t place = 0; place + HEAD <= size;) {
        struct perf_event_header header;
        uint32_t length;

        memcpy(&header, bytes + place, sizeof(header));
        if (header.size < sizeof(header) || header.size > size - place)
            break; /* overwritten in part */
        memcpy(&length, bytes + place + sizeof(header), sizeof(length));
        if (header.type == PERF_RECORD_SAMPLE && header.size >= HEAD && length <= (uint32_t)header.size - HEAD &&
            !add_event(flight, (struct lp_event){bytes + place + HEAD, length, (int16_t)cpu, 0}))
            return false;
        place += header.size;
    }
    for (size_t low = first, high = flight->count; low + 1 < high; low++, high--) {
        struct lp_event other = flight->events[low];

        flight->events[low] = flight->events[high - 1];
        flight->events[high - 1] = other;
    }
    return true;
}

int lp_flight_take(struct lp_flight *flight, const struct lp_buffer *buffers, int count, const struct lp_event **events)
{
    size_t size = count > 0 ? buffers[0].data_size : 0;
    bool ok = flight && make_room(flight, count, size);

    if (ok)
        flight->count = 0;
    for (int i = 0; ok && i < count; i++) {
        const struct lp_buffer *buffer = &buffers[i];
        struct copy *copy = &flight->copies[i];

        copy_buffer(buffer, copy);
        ok = list_samples(flight, place_of(buffer, copy, copy->head), written(buffer, copy->head), buffer->cpu);
    }
    if (!ok)
        return lp_error_set(ENOMEM, "events", "no memory for a snapshot of %d buffers of %zu bytes", count, size);
    *events = flight->events;
    return (int)flight->count;
}
