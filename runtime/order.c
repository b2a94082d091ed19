/*
 * order.c: delivers the events of all CPUs by their time.
 *
 * Buffers are read one after the other, and an event is sent some time after its time was taken. So events are held
 * back until they are `delay` old: then whatever happened before them has arrived, or is late. An event whose time lies
 * ahead of the clock waits for that long after it was read. What is held back is copied, to a ring of its own and a
 * heap by time, and the kernel has its memory back at once: waiting makes no buffer fill. When our ring is full the
 * oldest are delivered before their delay is over.
 */
#include "order.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "error.h"
#include "retire.h"

enum { BATCH = 512, PIECE = 64, ALIGNMENT = 16, SMALLEST = 1 << 20 };

/* Before each copy in the ring. */
struct held {
    uint32_t length; /* of this and the copy, in the ring */
    uint32_t given;  /* delivered, or only what was left at the ring's end */
    int64_t read_at; /* CLOCK_MONOTONIC */
};

struct entry {
    uint64_t time;
    uint64_t number; /* order of arrival, between events of the same time */
    struct lp_event event;
};

struct lp_order {
    uint8_t *bytes;
    size_t size;         /* a power of two */
    uint64_t head, tail; /* both only grow */
    uint64_t oldest;     /* between them: the first that was not given yet; what is before it Lua looks at */
    struct entry *heap;  /* the earliest first; children of i are 2 i + 1 and 2 i + 2 */
    size_t count, room;
    uint64_t arrived;
    uint64_t last; /* the latest time that was delivered */
    int64_t delay;
    uint32_t offset;
    bool flushing;
    struct lp_event pending[PIECE]; /* read, but not yet all held: they are still the source's */
    int pending_count, pending_next;
};

struct lp_order *lp_order_new(size_t capacity)
{
    struct lp_order *order = calloc(1, sizeof(*order));

    if (!order) {
        lp_error_set(ENOMEM, "events", "no memory to order events by time");
        return NULL;
    }
    order->size = lp_power_of_two(2 * capacity > SMALLEST ? 2 * capacity : SMALLEST);
    order->bytes = mmap(NULL, order->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (order->bytes == MAP_FAILED) {
        free(order);
        lp_error_set(ENOMEM, "events", "no memory to order events by time");
        return NULL;
    }
    return order;
}

int lp_order_set(struct lp_order *order, uint32_t offset, int64_t delay)
{
    order->offset = offset;
    order->delay = delay;
    order->flushing = false;
    return 0;
}

void lp_order_flush(struct lp_order *order)
{
    order->flushing = true;
}

void lp_order_free(struct lp_order *order)
{
    if (!order)
        return;
    lp_retire_pages(order->bytes, order->size);
    free(order->heap);
    free(order);
}

/* ---- the ring of copies --------------------------------------------------------------------------------------- */

static struct held *held_at(const struct lp_order *order, uint64_t position)
{
    return (void *)(order->bytes + (position & (order->size - 1)));
}

/* Room for a copy of `size` bytes in one piece, or NULL while there is none. */
static struct held *reserve(struct lp_order *order, uint32_t size)
{
    uint32_t length = (uint32_t)(sizeof(struct held) + size + 1 + ALIGNMENT - 1) & ~(uint32_t)(ALIGNMENT - 1);
    size_t until_end = order->size - (order->head & (order->size - 1));
    size_t skipped = length > until_end ? until_end : 0;
    struct held *held;

    if (order->head + skipped + length - order->tail > order->size)
        return NULL;
    if (skipped) {
        *held_at(order, order->head) = (struct held){.length = (uint32_t)skipped, .given = 1};
        order->head += skipped;
    }
    held = held_at(order, order->head);
    *held = (struct held){.length = length};
    order->head += length;
    return held;
}

static void pass_given(struct lp_order *order)
{
    while (order->oldest < order->head && held_at(order, order->oldest)->given)
        order->oldest += held_at(order, order->oldest)->length;
}

/* ---- the heap ------------------------------------------------------------------------------------------------- */

static bool is_before(const struct entry *a, const struct entry *b)
{
    return a->time != b->time ? a->time < b->time : a->number < b->number;
}

static bool grow(struct lp_order *order)
{
    size_t room = order->room ? 2 * order->room : 1024;
    struct entry *heap;

    if (order->count < order->room)
        return true;
    heap = realloc(order->heap, room * sizeof(*heap));
    if (!heap)
        return false;
    order->heap = heap;
    order->room = room;
    return true;
}

static void push(struct lp_order *order, struct entry entry)
{
    size_t i = order->count++;

    while (i > 0 && is_before(&entry, &order->heap[(i - 1) / 2])) {
        order->heap[i] = order->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    order->heap[i] = entry;
}

static struct entry pop(struct lp_order *order)
{
    struct entry first = order->heap[0];
    struct entry moved = order->heap[--order->count];
    size_t i = 0;

    for (size_t child = 1; child < order->count; child = 2 * i + 1) {
        if (child + 1 < order->count && is_before(&order->heap[child + 1], &order->heap[child]))
            child++;
        if (!is_before(&order->heap[child], &moved))
            break;
        order->heap[i] = order->heap[child];
        i = child;
    }
    order->heap[i] = moved;
    return first;
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

static uint64_t time_of(const struct lp_order *order, const struct lp_event *event)
{
    uint64_t time;

    if (event->size < order->offset + sizeof(time))
        return order->last;
    memcpy(&time, (const uint8_t *)event->data + order->offset, sizeof(time));
    return time;
}

static bool hold(struct lp_order *order, const struct lp_event *event, int64_t now)
{
    struct held *held = grow(order) ? reserve(order, event->size) : NULL;
    uint8_t *copy = (uint8_t *)(held + 1);

    if (!held)
        return false;
    held->read_at = now;
    memcpy(copy, event->data, event->size);
    copy[event->size] = '\0'; /* for a string without a NUL */
    push(order, (struct entry){
                    .time = time_of(order, event),
                    .number = order->arrived++,
                    .event = {.data = copy, .size = event->size, .cpu = event->cpu},
                });
    return true;
}

/* Holds what was read; false when our ring is full before. */
static bool hold_pending(struct lp_order *order, int64_t now)
{
    while (order->pending_next < order->pending_count) {
        if (!hold(order, &order->pending[order->pending_next], now))
            return false;
        order->pending_next++;
    }
    return true;
}

/* Takes in all that the buffers hold, and gives them their memory back. False when it does not fit. */
static bool take_in(struct lp_order *order, struct lp_source *source, int64_t now)
{
    while (hold_pending(order, now)) {
        lp_source_release(source);
        order->pending_next = 0;
        order->pending_count = source->ops->read(source, order->pending, PIECE);
        if (order->pending_count == 0)
            return true;
    }
    return false;
}

/* Whether somebody has waited long enough: the earliest, or one behind it by time that was read before. */
static bool is_due(struct lp_order *order, int64_t now)
{
    int64_t due = now > order->delay ? now - order->delay : 0;

    if (order->flushing || order->heap[0].time <= (uint64_t)due)
        return true;
    pass_given(order);
    return held_at(order, order->oldest)->read_at <= due;
}

static struct lp_event give_first(struct lp_order *order)
{
    struct entry entry = pop(order);
    struct held *held = (struct held *)(void *)entry.event.data - 1;

    held->given = 1;
    entry.event.late = entry.time < order->last;
    if (!entry.event.late)
        order->last = entry.time;
    return entry.event;
}

int lp_order_read(struct lp_order *order, struct lp_source *source, struct lp_event *events, int max)
{
    int64_t now = lp_time_monotonic();
    int count = 0;
    bool all;

    pass_given(order);
    order->tail = order->oldest; /* the batch that Lua looked at is over */
    all = take_in(order, source, now);
    while (count < max && count < BATCH && order->count > 0 && (is_due(order, now) || (!all && count < PIECE)))
        events[count++] = give_first(order);
    return count;
}
