/* perf_buffer.c: one CPU's perf event for bpf_perf_event_output, and its memory. */
#include "perf_buffer.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "perf_event.h"
#include "retire.h"

static int open_event(uint32_t cpu, size_t watermark, bool overwrite)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_SOFTWARE,
        .config = PERF_COUNT_SW_BPF_OUTPUT,
        .sample_type = PERF_SAMPLE_RAW,
        .sample_period = 1,
        .read_format = PERF_FORMAT_LOST,
        .watermark = 1,
        .wakeup_watermark = overwrite ? UINT32_MAX : (uint32_t)watermark,
        .write_backward = overwrite,
    };
    int fd = lp_perf_event_open(&attr, -1, (int)cpu);

    if (fd != -EINVAL)
        return fd;
    attr.read_format = 0; /* before Linux 6.0 */
    return lp_perf_event_open(&attr, -1, (int)cpu);
}

/*
 * A record of what was lost is written only before the next record that finds room, so the last losses of a run would
 * stay unknown. Since Linux 6.0 the event itself can be asked (PERF_FORMAT_LOST); before, the records must do.
 */
static uint64_t refused(const struct lp_buffer *buffer)
{
    struct {
        uint64_t value;
        uint64_t lost;
    } count;

    if (read(buffer->event_fd, &count, sizeof(count)) == (ssize_t)sizeof(count) && count.lost > buffer->lost)
        return count.lost;
    return buffer->lost;
}

uint64_t lp_perf_buffer_lost(const struct lp_buffer *buffer)
{
    return refused(buffer) + buffer->damaged;
}

/* The control page, the records, and a page of zeros: a string in the last record that has no NUL ends there. */
static size_t mapped_size(size_t data_size, size_t page_size)
{
    return page_size + data_size + page_size;
}

void lp_perf_buffer_close(struct lp_buffer *buffer, size_t page_size)
{
    if (buffer->control)
        lp_retire_pages(buffer->control, mapped_size(buffer->data_size, page_size));
    if (buffer->event_fd >= 0)
        close(buffer->event_fd);
    lp_retire(buffer->wrapped, free);
}

/* NULL and errno on failure. A mapping that cannot be written is what makes the kernel overwrite. */
static void *map_pages(int event_fd, size_t data_size, size_t page_size, bool overwrite)
{
    size_t size = mapped_size(data_size, page_size);
    void *pages = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int protection = overwrite ? PROT_READ : PROT_READ | PROT_WRITE;
    int error;

    if (pages == MAP_FAILED)
        return NULL;
    if (mmap(pages, page_size + data_size, protection, MAP_SHARED | MAP_FIXED, event_fd, 0) != MAP_FAILED)
        return pages;
    error = errno;
    munmap(pages, size);
    errno = error;
    return NULL;
}

int lp_perf_buffer_open(struct lp_buffer *buffer, uint32_t cpu, size_t size, size_t page_size, bool overwrite)
{
    int event_fd = open_event(cpu, size / 4, overwrite);
    void *pages;
    int error;

    if (event_fd < 0)
        return event_fd;
    pages = map_pages(event_fd, size, page_size, overwrite);
    if (!pages) {
        error = -errno;
        close(event_fd);
        return error;
    }
    error = lp_buffer_init(buffer, cpu, pages, page_size, size);
    buffer->event_fd = event_fd;
    if (error == 0 && ioctl(event_fd, PERF_EVENT_IOC_ENABLE, 0) != 0)
        error = -errno;
    if (error != 0)
        lp_perf_buffer_close(buffer, page_size);
    return error;
}
