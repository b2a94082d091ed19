/*
 * ring_source.c: a BPF ring buffer (Linux 5.8), which all CPUs share.
 *
 * Its pages hold, one after the other: how far we have read, how far programs have reserved, and the records, each
 * with a header of 8 bytes whose first 32 bits are its length (kernel/bpf/ringbuf.c). Two bits of the length say that
 * it is not complete yet, or was discarded.
 *
 * Programs that were compiled with luaprobe.bpf.h wake us at the watermark, once for each time that we ask by setting
 * `armed`. Others do as they think fit, mostly at each event that finds the buffer empty: those are listened to while
 * nothing comes, or when so much comes that a tick would be too long.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "error.h"
#include "retire.h"
#include "source.h"

enum { HEADER = BPF_RINGBUF_HDR_SZ };

struct ring_source {
    struct lp_source base;
    int map_fd;
    uint64_t *consumer;       /* a page of its own, which only we write */
    const uint64_t *producer; /* followed, a page later, by the records and a page of zeros */
    const uint8_t *data;
    size_t page_size;
    uint64_t position; /* how far we have read; *consumer follows when the batch is released */
    uint8_t *wrapped;  /* where a record that runs over the end is put together */
    size_t wrapped_room;
    size_t largest;    /* bytes of the largest record so far */
    int empty;         /* reads that found nothing, one after the other */
    int64_t looked_at; /* when one did the last time, in nanoseconds, and what had come by then */
    uint64_t bytes_then;
};

static struct ring_source *ring(struct lp_source *source)
{
    return (struct ring_source *)(void *)source;
}

static const struct ring_source *ring_const(const struct lp_source *source)
{
    return (const struct ring_source *)(const void *)source;
}

/* What a record of so many bytes takes. */
static size_t length_of(uint32_t size)
{
    return ((size_t)HEADER + size + 7) & ~(size_t)7;
}

static void note_length(struct ring_source *source, size_t length)
{
    if (length > source->largest)
        source->largest = length;
}

/*
 * A record's contents in one piece. There is at most one between consumer and producer that runs over the end, since
 * they are never further apart than the buffer's size.
 */
static const uint8_t *in_one_piece(struct ring_source *source, size_t offset, uint32_t size)
{
    size_t mask = source->base.buffer_size - 1;
    size_t start = (offset + HEADER) & mask;
    size_t until_end = source->base.buffer_size - start;

    if (size <= until_end)
        return source->data + start;
    if (source->wrapped_room < size + 1) {
        uint8_t *room = malloc(size + 1);

        if (!room)
            return NULL;
        free(source->wrapped);
        source->wrapped = room;
        source->wrapped_room = size + 1;
    }
    memcpy(source->wrapped, source->data + start, until_end);
    memcpy(source->wrapped + until_end, source->data, size - until_end);
    source->wrapped[size] = '\0'; /* for a string without a NUL */
    return source->wrapped;
}

static int ring_read(struct lp_source *base, struct lp_event *events, int max)
{
    struct ring_source *source = ring(base);
    const size_t mask = base->buffer_size - 1;
    /* Pairs with the kernel's writing of it: the headers of the records that it counts are there. */
    const uint64_t producer = __atomic_load_n(source->producer, __ATOMIC_ACQUIRE);
    uint64_t position = source->position;
    int count = 0;

    while (position < producer && count < max) {
        size_t offset = (size_t)position & mask;
        /* Pairs with the submission of the record: its contents are there. */
        uint32_t length = __atomic_load_n((const uint32_t *)(const void *)(source->data + offset), __ATOMIC_ACQUIRE);
        uint32_t size = length & ~(uint32_t)(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

        if (length & BPF_RINGBUF_BUSY_BIT)
            break;
        if (!(length & BPF_RINGBUF_DISCARD_BIT)) {
            const uint8_t *data = in_one_piece(source, offset, size);

            if (!data)
                break; /* no memory: later perhaps */
            events[count++] = (struct lp_event){data, size, -1, 0};
            note_length(source, length_of(size));
        }
        position += length_of(size);
    }
    source->position = position;
    if (count > 0)
        source->empty = 0;
    return count;
}

static void ring_release(struct lp_source *base)
{
    struct ring_source *source = ring(base);

    /* Pairs with the kernel's reading of it: our reads of the records come before. */
    __atomic_store_n(source->consumer, source->position, __ATOMIC_RELEASE);
}

/* The walk looks at records as they were submitted, one by one, which on other processors takes more than a load. */
static void ring_stretch(struct lp_source *base, struct lp_stretch *stretch)
{
#ifdef __x86_64__
    struct ring_source *source = ring(base);
    const uint64_t producer = __atomic_load_n(source->producer, __ATOMIC_ACQUIRE);
    size_t place = (size_t)source->position & (base->buffer_size - 1); /* of the record behind it */
    size_t until_end = base->buffer_size - place;
    size_t length = (size_t)(producer - source->position);

    /* Put together elsewhere, with its header at the other end, or the last before the end. */
    if (stretch->event < source->data + HEADER || stretch->event >= source->data + base->buffer_size || place == 0)
        return;
    length = length < until_end ? length : until_end;
    stretch->end_ = source->data + place + until_end;
    stretch->limit = source->data + place + length + HEADER;
#else
    (void)base;
    (void)stretch;
#endif
}

static void ring_walked(struct lp_source *base, const struct lp_stretch *stretch)
{
    struct ring_source *source = ring(base);
    const uint8_t *header = stretch->event - HEADER;
    size_t length = length_of(*(const uint32_t *)(const void *)header);
    size_t after = (size_t)(header - source->data) + length;
    size_t place = (size_t)source->position & (base->buffer_size - 1);

    source->position += after - place;
    note_length(source, length);
    note_length(source, (size_t)stretch->longest);
    source->empty = 0;
}

static size_t ring_fill(const struct lp_source *base)
{
    const struct ring_source *source = ring_const(base);

    return (size_t)(__atomic_load_n(source->producer, __ATOMIC_RELAXED) - *source->consumer);
}

/* Whether a quarter of the buffer fills within the shortest tick, a millisecond, at the pace since the last look. */
static bool is_fast(struct ring_source *source)
{
    int64_t now = lp_time_monotonic();
    uint64_t elapsed = (uint64_t)(now - source->looked_at);
    uint64_t bytes = source->base.bytes - source->bytes_then;

    source->looked_at = now;
    source->bytes_then = source->base.bytes;
    return bytes * 1000000 > source->base.buffer_size / 4 * elapsed;
}

static void ring_arm(struct lp_source *base)
{
    struct ring_source *source = ring(base);

    if (base->options.armed)
        __atomic_store_n(base->options.armed, 1, __ATOMIC_SEQ_CST);
    else if (is_fast(source) || ++source->empty > 1 || base->peak > base->buffer_size / 2)
        lp_wait_again(base, source->map_fd, EPOLLONESHOT);
}

/* Nothing but the program can know. */
static uint64_t ring_lost(const struct lp_source *base, int cpu)
{
    (void)base;
    (void)cpu;
    return 0;
}

/* Of the record that is read next; 0 when none waits. */
static size_t next_length(const struct ring_source *source)
{
    const uint8_t *header = source->data + (source->position & (source->base.buffer_size - 1));

    if (__atomic_load_n(source->producer, __ATOMIC_ACQUIRE) == source->position)
        return 0;
    return length_of(*(const uint32_t *)(const void *)header &
                     ~(uint32_t)(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT));
}

/*
 * Whether there was no room for another record of the largest size. The kernel refuses already what would fill the
 * buffer to its last byte.
 */
static bool ring_may_have_lost(const struct lp_source *base)
{
    const struct ring_source *source = ring_const(base);
    size_t next = next_length(source);
    size_t largest = next > source->largest ? next : source->largest;

    return base->buffer_size - base->high_water <= largest;
}

static int ring_snapshot(struct lp_source *base, const struct lp_event **events)
{
    (void)base;
    (void)events;
    lp_error_set(EINVAL, "events", "a ring buffer has no snapshot: it keeps the oldest events, not the newest");
    return -EINVAL;
}

static void ring_close(struct lp_source *base)
{
    struct ring_source *source = ring(base);

    lp_wait_remove(source->map_fd);
    if (source->consumer)
        munmap(source->consumer, source->page_size);
    if (source->producer)
        lp_retire_pages((void *)source->producer, 2 * source->page_size + base->buffer_size);
    lp_retire(source->wrapped, free);
    free(source);
}

static const struct lp_source_ops ring_ops = {
    .read = ring_read,
    .release = ring_release,
    .stretch = ring_stretch,
    .walked = ring_walked,
    .fill = ring_fill,
    .arm = ring_arm,
    .lost = ring_lost,
    .may_have_lost = ring_may_have_lost,
    .snapshot = ring_snapshot,
    .close = ring_close,
};

/* The page of what was reserved, the records once (the kernel offers them twice), and a page of zeros behind them. */
static int map_records(struct ring_source *source)
{
    size_t page_size = source->page_size;
    size_t size = page_size + source->base.buffer_size;
    uint8_t *pages = mmap(NULL, size + page_size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (pages == MAP_FAILED)
        return -errno;
    source->producer = (const void *)pages;
    source->data = pages + page_size;
    if (mmap(pages, size, PROT_READ, MAP_SHARED | MAP_FIXED, source->map_fd, (off_t)page_size) == MAP_FAILED)
        return -errno;
    return 0;
}

static int open_pages(struct ring_source *source)
{
    void *consumer = mmap(NULL, source->page_size, PROT_READ | PROT_WRITE, MAP_SHARED, source->map_fd, 0);
    int error;

    if (consumer == MAP_FAILED)
        return -errno;
    source->consumer = consumer;
    error = map_records(source);
    if (error == 0) {
        source->position = *source->consumer; /* of a pinned map, somebody may have read already */
        error = lp_wait_add(&source->base, source->map_fd, source->base.options.armed ? EPOLLET : EPOLLONESHOT);
    }
    return error ? error : lp_source_begin(&source->base, source->map_fd);
}

struct lp_source *lp_source_open_ring(int map_fd, const struct lp_source_options *options)
{
    struct bpf_map_info info = {0};
    uint32_t length = sizeof(info);
    struct ring_source *source;
    int error;

    if (lp_source_check_alone(map_fd) != 0)
        return NULL;
    source = calloc(1, sizeof(*source));
    error = source ? bpf_obj_get_info_by_fd(map_fd, &info, &length) : -ENOMEM;

    if (error == 0) {
        source->base.ops = &ring_ops;
        source->base.options = *options;
        source->base.buffer_size = info.max_entries;
        source->base.buffers = 1;
        source->map_fd = map_fd;
        source->page_size = (size_t)sysconf(_SC_PAGESIZE);
        error = open_pages(source);
        if (error == 0)
            return &source->base;
        lp_source_close(&source->base);
    } else {
        free(source);
    }
    lp_error_set(-error, "events", "the ring buffer of %u bytes cannot be read: %s", info.max_entries,
                 strerror(-error));
    if (error == -EPERM || error == -EACCES)
        lp_error_hint_permission();
    return NULL;
}

bool lp_source_has_ring(void)
{
    static int has_ring = -1;

    if (has_ring < 0)
        has_ring = libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, NULL) > 0;
    return has_ring;
}
