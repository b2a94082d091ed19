/* probe.c: one attachment: opened, bound to a program by some mechanism, closed. */
#include "probe.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "error.h"

/* BPF_LINK_CREATE on a perf event: Linux 5.15; EINVAL before. */
static int attach_link(struct lp_probe *probe, int program_fd)
{
    int fd = bpf_link_create(program_fd, probe->event_fd, BPF_PERF_EVENT, NULL);

    if (fd < 0)
        return fd;
    probe->link_fd = fd;
    return 0;
}

static int attach_perf(struct lp_probe *probe, int program_fd)
{
    return ioctl(probe->event_fd, PERF_EVENT_IOC_SET_BPF, program_fd) == 0 ? 0 : -errno;
}

/* The best first: "auto" tries them in this order. */
static const struct lp_mechanism mechanisms[] = {
    {"link", attach_link},
    {"perf", attach_perf},
};
enum { MECHANISMS = sizeof(mechanisms) / sizeof(mechanisms[0]) };

static const struct {
    int kind;
    int (*open)(struct lp_probe *probe);
} kinds[] = {
    {LP_KPROBE, lp_kprobe_open},
    {LP_KRETPROBE, lp_kprobe_open},
    {LP_TRACEPOINT, lp_tracepoint_open},
};

/* NULL in *out for "auto". */
static int find_mechanism(const char *name, const struct lp_mechanism **out)
{
    *out = NULL;
    if (strcmp(name, "auto") == 0)
        return 0;
    for (size_t i = 0; i < MECHANISMS; i++) {
        if (strcmp(name, mechanisms[i].name) == 0) {
            *out = &mechanisms[i];
            return 0;
        }
    }
    lp_error_set(EINVAL, "attach", "there is no attach mechanism '%s'", name);
    lp_error_hint("the mechanisms are auto, link and perf");
    return -EINVAL;
}

static int open_kind(struct lp_probe *probe)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i].kind == probe->target.kind)
            return kinds[i].open(probe);
    }
    return lp_error_set(EINVAL, "attach", "%s: no such kind of probe", probe->target.text);
}

struct lp_probe *lp_probe_open(const struct lp_target *target, const char *mechanism)
{
    struct lp_probe *probe = malloc(sizeof(*probe));

    if (!probe) {
        lp_error_set(ENOMEM, "attach", "%s: no memory", target->text);
        return NULL;
    }
    *probe = (struct lp_probe){.target = *target, .event_fd = -1, .link_fd = -1};
    if (find_mechanism(mechanism, &probe->mechanism) == 0 && open_kind(probe) == 0)
        return probe;
    lp_probe_close(probe);
    return NULL;
}

int lp_probe_attach(struct lp_probe *probe, int program_fd)
{
    const struct lp_mechanism *first = probe->mechanism ? probe->mechanism : &mechanisms[0];
    const struct lp_mechanism *last = probe->mechanism ? probe->mechanism : &mechanisms[MECHANISMS - 1];
    int error = 0;

    for (const struct lp_mechanism *mechanism = first; mechanism <= last; mechanism++) {
        error = mechanism->attach(probe, program_fd);
        if (error == 0) {
            probe->mechanism = mechanism;
            return 0;
        }
        /* Only "the kernel does not know this mechanism" is a reason to try the next one. */
        if (error != -EINVAL)
            break;
    }
    lp_error_set(-error, "attach", "%s: the kernel refused the program (mechanism %s): %s", probe->target.text,
                 probe->mechanism ? probe->mechanism->name : "auto", strerror(-error));
    if (error == -EINVAL && probe->mechanism == &mechanisms[0])
        lp_error_hint("mechanism link needs Linux 5.15, and the program the type that the target asks for; "
                      "mechanism auto takes what this kernel has");
    else if (error == -EINVAL)
        lp_error_hint("is the program of the type that this target asks for?");
    else if (error == -EPERM || error == -EACCES)
        lp_error_hint_permission();
    return error;
}

const char *lp_probe_mechanism(const struct lp_probe *probe)
{
    return probe->mechanism ? probe->mechanism->name : "auto";
}

void lp_probe_close(struct lp_probe *probe)
{
    if (!probe)
        return;
    if (probe->link_fd >= 0)
        close(probe->link_fd);
    if (probe->event_fd >= 0)
        close(probe->event_fd);
    free(probe);
}
