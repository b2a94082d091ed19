/* tracepoint.c: opens tracepoints, as perf events of the number that tracefs gives each of them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "perf_event.h"
#include "probe.h"
#include "tracefs.h"

/* The tracepoint's number, or a negative errno with the last error set. */
static int read_id(const struct lp_target *target)
{
    char path[256];
    char text[32];
    ssize_t size;
    int fd;
    int error;
    int root = lp_tracefs_open();

    if (root < 0)
        return root;
    snprintf(path, sizeof(path), "events/%s/%s/id", target->category, target->name);
    fd = openat(root, path, O_RDONLY | O_CLOEXEC);
    error = errno;
    close(root);
    if (fd < 0 && (error == EACCES || error == EPERM)) {
        lp_error_set(EPERM, "attach", "%s: tracefs is not readable for this user", target->text);
        lp_error_hint_permission();
        return -EPERM;
    }
    if (fd < 0) {
        lp_error_set(ENOENT, "attach", "%s: this kernel has no such tracepoint", target->text);
        lp_error_hint("see those it has: sudo ls /sys/kernel/tracing/events/%s", target->category);
        return -ENOENT;
    }
    size = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (size <= 0)
        return lp_error_set(EIO, "attach", "%s: its id in tracefs cannot be read", target->text);
    text[size] = '\0';
    return (int)strtol(text, NULL, 10);
}

int lp_tracepoint_open(struct lp_probe *probe)
{
    struct perf_event_attr attr = {.type = PERF_TYPE_TRACEPOINT};
    int id = read_id(&probe->target);

    if (id < 0)
        return id;
    attr.config = (unsigned)id;
    probe->event_fd = lp_perf_event_open(&attr, 0);
    if (probe->event_fd >= 0)
        return 0;
    lp_error_set(-probe->event_fd, "attach", "%s: %s", probe->target.text, strerror(-probe->event_fd));
    if (probe->event_fd == -EPERM || probe->event_fd == -EACCES)
        lp_error_hint_permission();
    return probe->event_fd;
}
