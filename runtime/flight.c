/*
 * flight.c: the last events before now, out of perf buffers that overwrite (a flight recorder).
 *
 * The kernel fills such a buffer backward (perf_event_attr.write_backward): data_head falls, the newest record begins
 * there, and behind each record follows an older one, until the first that is overwritten in part. Output is paused
 * while it is read. A record that a CPU was writing when the pause began may overwrite the oldest ones, so those that
 * the head has passed meanwhile are dropped.
 */
#include "flight.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "error.h"

struct lp_flight {
    uint8_t *bytes; /* one buffer after the other, as it was */
    size_t room;
    struct lp_event *events;
    size_t count, events_room;
};

/* perf_event_header, and the size of the raw sample */
enum { HEAD = sizeof(struct perf_event_header) + sizeof(uint32_t) };

struct lp_flight *lp_flight_new(void)
{
    return calloc(1, sizeof(struct lp_flight));
}

void lp_flight_free(struct lp_flight *flight)
{
    if (!flight)
        return;
    free(flight->bytes);
    free(flight->events);
    free(flight);
}

static void pause_output(const struct lp_buffer *buffers, int count, int on)
{
    for (int i = 0; i < count; i++)
        (void)ioctl(buffers[i].event_fd, PERF_EVENT_IOC_PAUSE_OUTPUT, on);
}

/* Buffers are written with preemption off: a tenth of a millisecond later nobody is at it any more. */
static void let_writers_finish(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

static uint64_t head_of(const struct lp_buffer *buffer)
{
    return __atomic_load_n(&buffer->control->data_head, __ATOMIC_ACQUIRE);
}

/* The buffer's bytes from the newest on, in one piece. Returns how many of them hold. */
static size_t copy_buffer(const struct lp_buffer *buffer, uint8_t *to)
{
    uint64_t head = head_of(buffer);
    size_t written = (size_t)(0 - head); /* it began at 0 and falls */
    size_t start = (size_t)head & (buffer->data_size - 1);
    size_t until_end = buffer->data_size - start;
    size_t overwritten;

    memcpy(to, buffer->data + start, until_end);
    memcpy(to + until_end, buffer->data, start);
    overwritten = (size_t)(head - head_of(buffer));
    if (written >= buffer->data_size)
        return overwritten < buffer->data_size ? buffer->data_size - overwritten : 0;
    return written;
}

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
        if (header.type == PERF_RECORD_SAMPLE && length <= (uint32_t)header.size - HEAD &&
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
    bool ok = flight != NULL;

    if (ok && !flight->bytes) {
        flight->room = (size_t)count * size;
        flight->bytes = malloc(flight->room + 1);
    }
    ok = ok && flight->bytes;
    if (ok) {
        flight->count = 0;
        pause_output(buffers, count, 1);
        let_writers_finish();
        for (int i = 0; ok && i < count && (size_t)(i + 1) * size <= flight->room; i++) {
            uint8_t *copy = flight->bytes + (size_t)i * size;

            ok = list_samples(flight, copy, copy_buffer(&buffers[i], copy), buffers[i].cpu);
        }
        pause_output(buffers, count, 0);
    }
    if (!ok)
        return lp_error_set(ENOMEM, "events", "no memory for a snapshot of %d buffers of %zu bytes", count, size);
    *events = flight->events;
    return (int)flight->count;
}
