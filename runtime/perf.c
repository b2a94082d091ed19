/*
 * perf.c: the mechanisms "link" and "perf": a perf event that the probe's kind describes, and a program bound to it by
 * a BPF link (Linux 5.15) or by ioctl.
 *
 * The event owns the kernel's probe, so that goes when its descriptor does, however the process ends.
 *
 * Disabling: PERF_EVENT_IOC_DISABLE does not keep a BPF program from running (kernel/trace/trace_kprobe.c,
 * kprobe_perf_func: programs come before the list of enabled events; seen on 5.10 to 7.2). A link can be taken away
 * alone, an ioctl's binding only with its event, which enabling then opens again.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "error.h"
#include "perf_event.h"
#include "probe.h"

static int add(struct lp_probe *probe, struct perf_event_attr *attr, int pid, int cpu)
{
    int fd = lp_perf_event_open(attr, pid, cpu);

    if (fd >= 0)
        probe->perfs[probe->perf_count++] = (struct lp_perf){fd, -1};
    return fd < 0 ? fd : 0;
}

static int allocate(struct lp_probe *probe, size_t count)
{
    probe->perfs = calloc(count, sizeof(*probe->perfs));
    probe->perf_count = 0;
    return probe->perfs ? 0 : lp_error_set(ENOMEM, "attach", "%s: no memory", probe->target.text);
}

/* One that works for all CPUs; it must be opened on one of them when it is not for one process. */
int lp_perf_open_one(struct lp_probe *probe, struct perf_event_attr *attr)
{
    int pid = probe->options.pid > 0 ? probe->options.pid : -1;
    int error = allocate(probe, 1);

    if (error)
        return error;
    error = add(probe, attr, pid, pid > 0 ? -1 : 0);
    return error ? probe->kind->explain(probe, error) : 0;
}

/* One per CPU that is online now. */
static int open_per_cpu(struct lp_probe *probe, struct perf_event_attr *attr)
{
    int pid = probe->options.pid > 0 ? probe->options.pid : -1;
    long cpus = sysconf(_SC_NPROCESSORS_CONF);
    int error = allocate(probe, (size_t)cpus);

    for (int cpu = 0; error == 0 && cpu < cpus; cpu++) {
        error = add(probe, attr, pid, cpu);
        if (error == -ENODEV) /* offline */
            error = 0;
        else if (error)
            return probe->kind->explain(probe, error);
    }
    return error;
}

int lp_perf_open(struct lp_probe *probe)
{
    struct perf_event_attr attr = {0};
    int error = probe->kind->perf_attr(probe, &attr);

    if (error)
        return error;
    return probe->kind->per_cpu ? open_per_cpu(probe, &attr) : lp_perf_open_one(probe, &attr);
}

/* BPF links of perf events came with Linux 5.15; only creating one tells, and that takes a program. */
static bool link_available(const struct lp_probe *probe)
{
    (void)probe;
    return lp_kernel_at_least(5, 15);
}

static int link_refused(const struct lp_probe *probe, int error)
{
    if (error != -EINVAL || link_available(probe))
        return lp_probe_refused(probe, "link", error);
    lp_error_set(EOPNOTSUPP, "attach", "%s: this kernel has no mechanism link", probe->target.text);
    lp_error_hint("it needs Linux 5.15; mechanism auto takes what this kernel has");
    return -EOPNOTSUPP;
}

static int link_start(struct lp_probe *probe, struct lp_object *object, int program)
{
    LIBBPF_OPTS(bpf_link_create_opts, opts, .perf_event.bpf_cookie = probe->options.cookie);

    if (lp_probe_take_program(probe, object, program, 0) < 0)
        return probe->program_fd;
    for (uint32_t i = 0; i < probe->perf_count; i++) {
        int fd = bpf_link_create(probe->program_fd, probe->perfs[i].event_fd, BPF_PERF_EVENT, &opts);

        if (fd < 0) {
            (void)probe->mechanism->stop(probe);
            return link_refused(probe, fd);
        }
        probe->perfs[i].link_fd = fd;
    }
    return 0;
}

/* Linux 6.7 tells the misses of a kprobe in its link: struct bpf_link_info with perf_event.kprobe.missed; -1 if not. */
static int64_t read_missed(const struct lp_probe *probe)
{
    struct {
        uint32_t type, id, program, pad;
        uint32_t event_type, pad2;
        uint64_t name;
        uint32_t name_size, offset;
        uint64_t address, missed, cookie;
    } info = {0};
    uint32_t size = sizeof(info);
    enum { PERF_EVENT_KPROBE = 3, PERF_EVENT_KRETPROBE = 4 };

    if (probe->perf_count == 0 || probe->perfs[0].link_fd < 0 ||
        bpf_obj_get_info_by_fd(probe->perfs[0].link_fd, &info, &size) != 0)
        return -1;
    return info.event_type == PERF_EVENT_KPROBE || info.event_type == PERF_EVENT_KRETPROBE ? (int64_t)info.missed : -1;
}

static int link_stop(struct lp_probe *probe)
{
    int64_t missed = read_missed(probe);

    probe->link_missed = missed > probe->link_missed ? missed : probe->link_missed;
    for (uint32_t i = 0; i < probe->perf_count; i++) {
        if (probe->perfs[i].link_fd >= 0)
            close(probe->perfs[i].link_fd);
        probe->perfs[i].link_fd = -1;
    }
    return 0;
}

static void link_count(const struct lp_probe *probe, struct lp_probe_counts *out)
{
    int64_t missed = read_missed(probe);

    out->missed = missed > probe->link_missed ? missed : probe->link_missed;
}

int lp_perf_start_ioctl(struct lp_probe *probe, struct lp_object *object, int program)
{
    int error;

    if (lp_probe_take_program(probe, object, program, 0) < 0)
        return probe->program_fd;
    if (probe->perf_count == 0 && (error = probe->mechanism->open(probe)) != 0)
        return error;
    for (uint32_t i = 0; i < probe->perf_count; i++) {
        if (ioctl(probe->perfs[i].event_fd, PERF_EVENT_IOC_SET_BPF, probe->program_fd) != 0) {
            error = -errno;
            (void)probe->mechanism->stop(probe);
            return lp_probe_refused(probe, probe->mechanism->name, error);
        }
    }
    return 0;
}

int lp_perf_stop(struct lp_probe *probe)
{
    (void)link_stop(probe);
    for (uint32_t i = 0; i < probe->perf_count; i++)
        close(probe->perfs[i].event_fd);
    probe->perf_count = 0;
    free(probe->perfs);
    probe->perfs = NULL;
    return 0;
}

void lp_perf_close(struct lp_probe *probe)
{
    (void)lp_perf_stop(probe);
}

const struct lp_mechanism lp_link = {
    .name = "link",
    .available = link_available,
    .open = lp_perf_open,
    .start = link_start,
    .stop = link_stop,
    .close = lp_perf_close,
    .count = link_count,
};

const struct lp_mechanism lp_perf_ioctl = {
    .name = "perf",
    .open = lp_perf_open,
    .start = lp_perf_start_ioctl,
    .stop = lp_perf_stop,
    .close = lp_perf_close,
};
