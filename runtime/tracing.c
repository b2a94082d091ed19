/*
 * tracing.c: the mechanism "tracing": raw tracepoints by name, and the programs whose place was settled when they were
 * loaded (tp_btf, fentry, fexit).
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "probe.h"

static int tracing_open(struct lp_probe *probe)
{
    if (!probe->options.has_cookie || probe->target.kind != LP_RAW_TRACEPOINT)
        return 0;
    lp_error_set(EOPNOTSUPP, "attach", "%s: raw tracepoints have no cookies here", probe->target.text);
    lp_error_hint("tracepoint: and tp_btf: have them");
    return -EOPNOTSUPP;
}

static int refused(const struct lp_probe *probe, int error)
{
    if (error == -ENOENT && probe->target.kind == LP_RAW_TRACEPOINT) {
        lp_error_set(ENOENT, "attach", "%s: this kernel has no such raw tracepoint", probe->target.text);
        lp_error_hint(
            "their names are those of tracepoints, without the category: sudo ls /sys/kernel/tracing/events/*");
        return error;
    }
    if (probe->options.has_cookie && error == -EINVAL) {
        lp_error_set(EOPNOTSUPP, "attach", "%s: this kernel has no cookies for such probes", probe->target.text);
        lp_error_hint("they need Linux 6.0");
        return -EOPNOTSUPP;
    }
    return lp_probe_refused(probe, "tracing", error);
}

static int create_with_cookie(const struct lp_probe *probe, const struct bpf_program *program)
{
    LIBBPF_OPTS(bpf_link_create_opts, opts, .tracing.cookie = probe->options.cookie);

    return bpf_link_create(probe->program_fd, 0, bpf_program__expected_attach_type(program), &opts);
}

static int tracing_start(struct lp_probe *probe, struct lp_object *object, int program)
{
    const char *name = probe->target.kind == LP_RAW_TRACEPOINT ? probe->target.name : NULL;

    if (lp_probe_take_program(probe, object, program, 0) < 0)
        return probe->program_fd;
    if (probe->options.has_cookie)
        probe->link_fd = create_with_cookie(probe, lp_object_program_at(object, program));
    else
        probe->link_fd = bpf_raw_tracepoint_open(name, probe->program_fd);
    return probe->link_fd < 0 ? refused(probe, probe->link_fd) : 0;
}

static int tracing_stop(struct lp_probe *probe)
{
    if (probe->link_fd >= 0)
        close(probe->link_fd);
    probe->link_fd = -1;
    return 0;
}

static void tracing_close(struct lp_probe *probe)
{
    (void)tracing_stop(probe);
}

const struct lp_mechanism lp_tracing = {
    .name = "tracing",
    .open = tracing_open,
    .start = tracing_start,
    .stop = tracing_stop,
    .close = tracing_close,
};
