/*
 * wait.c: one place to sleep for all sources.
 *
 * Every source's descriptors are in one epoll set, so whoever sleeps is woken by whichever buffer fills first. Standard
 * output is in it too, to learn that its reader is gone, and the kernel's news of CPUs that come and go.
 */
#include <errno.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cpus.h"
#include "error.h"
#include "source.h"
#include "stop.h"

static int epoll_fd = -1;
static int cpus_fd = -1;
static struct lp_source *sources;

/* What epoll hands back for the descriptors that are no source's. */
static char output_mark, cpus_mark;

static void watch(int fd, uint32_t events, void *mark)
{
    struct epoll_event interest = {.events = events, .data.ptr = mark};

    (void)epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &interest);
}

/* Files cannot tell when their reader goes away, and need not. */
static void watch_output(void)
{
    struct stat status;

    if (fstat(STDOUT_FILENO, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)))
        watch(STDOUT_FILENO, 0, &output_mark);
}

static int open_set(void)
{
    if (epoll_fd >= 0)
        return 0;
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        return -errno;
    watch_output();
    cpus_fd = lp_cpus_open();
    if (cpus_fd >= 0)
        watch(cpus_fd, EPOLLIN, &cpus_mark);
    return 0;
}

/* With the last source everything goes: whoever holds no events holds no descriptors. */
static void close_set(void)
{
    if (cpus_fd >= 0)
        close(cpus_fd);
    if (epoll_fd >= 0)
        close(epoll_fd);
    cpus_fd = -1;
    epoll_fd = -1;
}

int lp_wait_add(struct lp_source *source, int fd, uint32_t mode)
{
    struct epoll_event interest = {.events = EPOLLIN | mode, .data.ptr = source};
    int error = open_set();

    if (error == 0 && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &interest) != 0)
        error = -errno;
    return error;
}

void lp_wait_again(struct lp_source *source, int fd, uint32_t mode)
{
    struct epoll_event interest = {.events = EPOLLIN | mode, .data.ptr = source};

    (void)epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &interest);
}

void lp_wait_remove(int fd)
{
    (void)epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

void lp_wait_enter(struct lp_source *source)
{
    source->next = sources;
    sources = source;
}

const struct lp_source *lp_wait_find(uint32_t map_id)
{
    const struct lp_source *source = sources;

    while (source && source->map_id != map_id)
        source = source->next;
    return source;
}

void lp_wait_forget(struct lp_source *source)
{
    for (struct lp_source **link = &sources; *link; link = &(*link)->next) {
        if (*link == source) {
            *link = source->next;
            break;
        }
    }
    if (!sources)
        close_set();
}

static void tell_of_cpus(void)
{
    uint32_t cpu;
    bool online;

    while (lp_cpus_next(cpus_fd, &cpu, &online)) {
        for (struct lp_source *source = sources; source; source = source->next) {
            if (source->ops->cpu_changed)
                source->ops->cpu_changed(source, cpu, online);
        }
    }
}

/* Writes out what standard output holds. 1 when its reader is gone. */
static int write_output(void)
{
    int error;

    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    error = errno;
    /* What cannot be written is told once: at exit there shall be nothing left to complain of. */
    __fpurge(stdout);
    clearerr(stdout);
    if (error == EPIPE) {
        lp_stop_output_closed();
        return 1;
    }
    return lp_error_set(error, "output", "standard output cannot be written: %s", strerror(error));
}

int lp_source_wait(int timeout_ms)
{
    struct epoll_event ready[16];
    int count = write_output();

    if (count != 0)
        return count < 0 ? count : 0;
    if (open_set() != 0)
        return lp_error_set(errno, "events", "waiting for events: %s", strerror(errno));
    count = epoll_wait(epoll_fd, ready, sizeof(ready) / sizeof(ready[0]), timeout_ms);
    if (count < 0 && errno != EINTR)
        return lp_error_set(errno, "events", "waiting for events: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        if (ready[i].data.ptr == &output_mark)
            lp_stop_output_closed();
        else if (ready[i].data.ptr == &cpus_mark)
            tell_of_cpus();
    }
    if (!sources)
        close_set();
    return 0;
}
