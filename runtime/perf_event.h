/* perf_event.h: the system call that libc does not wrap. */
#ifndef LUAPROBE_PERF_EVENT_H
#define LUAPROBE_PERF_EVENT_H

#include <errno.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A perf event of one process (pid -1: all) on one CPU (-1: all); a descriptor or a negative errno. */
static inline int lp_perf_event_open(struct perf_event_attr *attr, int pid, int cpu)
{
    int fd;

    attr->size = sizeof(*attr);
    fd = (int)syscall(SYS_perf_event_open, attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

#endif
