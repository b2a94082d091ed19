/*
 * kprobe.c: opens kprobes and kretprobes through the kernel's kprobe PMU (Linux 4.17).
 *
 * The perf event creates the kprobe and owns it, so it goes when the descriptor does, however the process ends. The
 * event is opened on CPU 0, but the kprobe and the program bound to it work on all.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "perf_event.h"
#include "probe.h"

#define PMU "/sys/bus/event_source/devices/kprobe/"

/* Reads the number behind `prefix` in a one-line file; negative errno on failure. */
static int read_number(const char *path, const char *prefix)
{
    char format[32];
    int number;
    int fields;
    FILE *file = fopen(path, "re");

    if (!file)
        return -errno;
    snprintf(format, sizeof(format), "%s%%d", prefix);
    fields = fscanf(file, format, &number);
    fclose(file);
    return fields == 1 && number >= 0 ? number : -EINVAL;
}

static int explain(const struct lp_probe *probe, int error)
{
    const char *text = probe->target.text;
    const char *name = probe->target.name;

    switch (error) {
    case -ENOENT:
        lp_error_set(ENOENT, "attach", "%s: this kernel has no function %s that can be probed", text, name);
        lp_error_hint("see what it is called here: sudo grep -w '%s' /proc/kallsyms; it may be inlined, renamed, or "
                      "in a module that is not loaded",
                      name);
        break;
    case -EINVAL:
    case -EADDRNOTAVAIL:
        lp_error_set(-error, "attach", "%s: the kernel does not let this function be probed", text);
        lp_error_hint("functions that are notrace, or listed in /sys/kernel/debug/kprobes/blacklist, cannot be; "
                      "probe one that calls it");
        break;
    case -EPERM:
    case -EACCES:
        lp_error_set(EPERM, "attach", "%s: not permitted", text);
        lp_error_hint_permission();
        break;
    default:
        lp_error_set(-error, "attach", "%s: %s", text, strerror(-error));
    }
    return error;
}

int lp_kprobe_open(struct lp_probe *probe)
{
    struct perf_event_attr attr = {0};
    int type = read_number(PMU "type", "");
    int retprobe_bit = 0;

    if (type == -ENOENT) {
        lp_error_set(ENODEV, "attach", "%s: this kernel has no kprobes", probe->target.text);
        lp_error_hint("it needs a kernel with CONFIG_KPROBE_EVENTS; tracepoints work without");
        return -ENODEV;
    }
    if (type < 0)
        return lp_error_set(-type, "attach", "%s: " PMU "type: %s", probe->target.text, strerror(-type));
    if (probe->target.kind == LP_KRETPROBE) {
        retprobe_bit = read_number(PMU "format/retprobe", "config:");
        if (retprobe_bit < 0)
            return lp_error_set(-retprobe_bit, "attach", "%s: " PMU "format/retprobe: %s", probe->target.text,
                                strerror(-retprobe_bit));
        attr.config = UINT64_C(1) << retprobe_bit;
    }
    attr.type = (uint32_t)type;
    attr.config1 = (uintptr_t)probe->target.name;
    probe->event_fd = lp_perf_event_open(&attr, 0);
    return probe->event_fd < 0 ? explain(probe, probe->event_fd) : 0;
}
