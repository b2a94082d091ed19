/*
 * ring.c: the event buffers of a perf event array, one per CPU (buffer.c).
 *
 * Nobody is woken per event, since the traced process pays for a wakeup: the kernel wakes us when a buffer is filled
 * to its watermark, and otherwise Lua looks in on a tick (lua/luaprobe/events.lua).
 */
#include "buffer.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "perf_event.h"
#include "stop.h"

enum { MAX_PAGES = 16384 };

struct lp_ring {
    struct lp_buffer *buffers;
    int count;
    int next;     /* the buffer that the next batch begins with, so that one busy CPU cannot starve the others */
    int epoll_fd; /* readable when a buffer passed its watermark */
    size_t page_size;
    uint64_t events;
    uint64_t bytes;
};

static int open_event(uint32_t cpu, size_t watermark)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_SOFTWARE,
        .config = PERF_COUNT_SW_BPF_OUTPUT,
        .sample_type = PERF_SAMPLE_RAW,
        .sample_period = 1,
        .read_format = PERF_FORMAT_LOST,
        .watermark = 1,
        .wakeup_watermark = (uint32_t)watermark,
    };
    int fd = lp_perf_event_open(&attr, -1, (int)cpu);

    if (fd != -EINVAL)
        return fd;
    attr.read_format = 0;
    return lp_perf_event_open(&attr, -1, (int)cpu);
}

/*
 * A record of what was lost is written only before the next record that finds room, so the last losses of a run would
 * stay unknown. Since Linux 6.0 the event itself can be asked (PERF_FORMAT_LOST); before, the records must do.
 */
static uint64_t lost_in(const struct lp_buffer *buffer)
{
    struct {
        uint64_t value;
        uint64_t lost;
    } count;

    if (read(buffer->event_fd, &count, sizeof(count)) == (ssize_t)sizeof(count) && count.lost > buffer->lost)
        return count.lost;
    return buffer->lost;
}

/* The control page, the records, and a page of zeros: a string in the last record that has no NUL ends there. */
static size_t mapped_size(size_t data_size, size_t page_size)
{
    return page_size + data_size + page_size;
}

static void buffer_close(struct lp_buffer *buffer, size_t page_size)
{
    if (buffer->control)
        munmap(buffer->control, mapped_size(buffer->data_size, page_size));
    if (buffer->event_fd >= 0)
        close(buffer->event_fd);
    free(buffer->wrapped);
}

/* NULL and errno on failure. */
static void *map_pages(int event_fd, size_t data_size, size_t page_size)
{
    size_t size = mapped_size(data_size, page_size);
    void *pages = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int error;

    if (pages == MAP_FAILED)
        return NULL;
    if (mmap(pages, page_size + data_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, event_fd, 0) != MAP_FAILED)
        return pages;
    error = errno;
    munmap(pages, size);
    errno = error;
    return NULL;
}

/* Opens one CPU's buffer and enters it into the map. A negative errno; ENODEV when the CPU is offline. */
static int buffer_open(struct lp_ring *ring, struct lp_buffer *buffer, int map_fd, uint32_t cpu, size_t data_size)
{
    struct epoll_event interest = {.events = EPOLLIN, .data.ptr = buffer};
    void *pages;
    int event_fd = open_event(cpu, data_size / 4);
    int error;

    if (event_fd < 0)
        return event_fd;
    pages = map_pages(event_fd, data_size, ring->page_size);
    if (!pages) {
        error = -errno;
        close(event_fd);
        return error;
    }
    error = lp_buffer_init(buffer, cpu, pages, ring->page_size, data_size);
    buffer->event_fd = event_fd;
    if (error == 0 && ioctl(event_fd, PERF_EVENT_IOC_ENABLE, 0) != 0)
        error = -errno;
    if (error == 0 && epoll_ctl(ring->epoll_fd, EPOLL_CTL_ADD, event_fd, &interest) != 0)
        error = -errno;
    if (error == 0)
        error = bpf_map_update_elem(map_fd, &cpu, &event_fd, BPF_ANY);
    if (error != 0)
        buffer_close(buffer, ring->page_size);
    return error;
}

/* Asks to be told when the reader of standard output goes away. Files cannot tell, and need not. */
static void watch_output(const struct lp_ring *ring)
{
    struct epoll_event interest = {.events = 0, .data.ptr = NULL};
    struct stat status;

    if (fstat(STDOUT_FILENO, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)))
        (void)epoll_ctl(ring->epoll_fd, EPOLL_CTL_ADD, STDOUT_FILENO, &interest);
}

static void explain(int error, uint32_t pages)
{
    if (error == -EPERM || error == -EACCES) {
        lp_error_set(EPERM, "events", "an event buffer of %u pages per CPU is not permitted", pages);
        lp_error_hint_permission();
    } else {
        lp_error_set(-error, "events", "an event buffer of %u pages per CPU cannot be opened: %s", pages,
                     strerror(-error));
        if (error == -ENOMEM)
            lp_error_hint("ask for less: pages = %u", pages > 1 ? pages / 2 : 1);
    }
}

/* A mebibyte per CPU takes a burst of ten thousand small events; on large machines all together stay at 32 MiB. */
static uint32_t default_pages(int cpus)
{
    uint32_t pages = 256;

    while (pages > 64 && (uint64_t)pages * (uint64_t)cpus > 8192)
        pages /= 2;
    return pages;
}

struct lp_ring *lp_ring_open(int map_fd, uint32_t wanted_pages)
{
    int cpus = libbpf_num_possible_cpus();
    uint32_t pages = wanted_pages ? wanted_pages : default_pages(cpus);
    int error = -ENOMEM;
    struct lp_ring *ring;

    if ((pages & (pages - 1)) != 0 || pages > MAX_PAGES) {
        lp_error_set(EINVAL, "events", "an event buffer cannot have %u pages", pages);
        lp_error_hint("the number of pages is a power of two up to %d", MAX_PAGES);
        return NULL;
    }
    ring = calloc(1, sizeof(*ring));
    if (!ring)
        goto fail;
    ring->page_size = (size_t)sysconf(_SC_PAGESIZE);
    ring->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (ring->epoll_fd < 0) {
        error = -errno;
        goto fail;
    }
    ring->buffers = cpus > 0 ? calloc((size_t)cpus, sizeof(*ring->buffers)) : NULL;
    if (!ring->buffers)
        goto fail;
    for (int cpu = 0; cpu < cpus; cpu++) {
        error = buffer_open(ring, &ring->buffers[ring->count], map_fd, (uint32_t)cpu, pages * ring->page_size);
        if (error == 0)
            ring->count++;
        else if (error != -ENODEV) /* an offline CPU has no events */
            goto fail;
    }
    watch_output(ring);
    return ring;

fail:
    explain(error, pages);
    lp_ring_close(ring);
    return NULL;
}

int lp_ring_read(struct lp_ring *ring, struct lp_event *events, int max)
{
    int count = 0;

    for (int i = 0; i < ring->count; i++)
        lp_buffer_release(&ring->buffers[i]);
    for (int i = 0; i < ring->count && count < max; i++) {
        count += lp_buffer_read(&ring->buffers[ring->next], events + count, max - count);
        ring->next = (ring->next + 1) % ring->count;
    }
    ring->events += (uint64_t)count;
    for (int i = 0; i < count; i++)
        ring->bytes += events[i].size;
    return count;
}

int lp_ring_wait(struct lp_ring *ring, int timeout_ms)
{
    struct epoll_event ready[8];
    int count;

    if (fflush(stdout) != 0 || ferror(stdout)) {
        int error = errno;

        /* What cannot be written is told once: at exit there shall be nothing left to complain of. */
        __fpurge(stdout);
        clearerr(stdout);
        if (error == EPIPE) {
            lp_stop_output_closed();
            return 0;
        }
        return lp_error_set(error, "output", "standard output cannot be written: %s", strerror(error));
    }
    count = epoll_wait(ring->epoll_fd, ready, sizeof(ready) / sizeof(ready[0]), timeout_ms);
    if (count < 0 && errno != EINTR)
        return lp_error_set(errno, "events", "waiting for events: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        if (!ready[i].data.ptr)
            lp_stop_output_closed();
    }
    return 0;
}

size_t lp_ring_capacity(const struct lp_ring *ring)
{
    return ring->count ? (size_t)ring->count * ring->buffers[0].data_size : 0;
}

uint32_t lp_ring_pages(const struct lp_ring *ring)
{
    return ring->count ? (uint32_t)(ring->buffers[0].data_size / ring->page_size) : 0;
}

void lp_ring_stats(const struct lp_ring *ring, struct lp_ring_stats *out)
{
    *out = (struct lp_ring_stats){.events = ring->events, .bytes = ring->bytes};
    for (int i = 0; i < ring->count; i++)
        out->lost += lost_in(&ring->buffers[i]);
}

uint64_t lp_ring_lost(const struct lp_ring *ring, uint32_t cpu)
{
    for (int i = 0; i < ring->count; i++) {
        if (ring->buffers[i].cpu == cpu)
            return lost_in(&ring->buffers[i]);
    }
    return 0;
}

void lp_ring_close(struct lp_ring *ring)
{
    if (!ring)
        return;
    for (int i = 0; i < ring->count; i++)
        buffer_close(&ring->buffers[i], ring->page_size);
    if (ring->epoll_fd >= 0)
        close(ring->epoll_fd);
    free(ring->buffers);
    free(ring);
}
