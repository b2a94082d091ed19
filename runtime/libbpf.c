/* libbpf.c: the mechanism "libbpf", for what needs its help (USDT) or what nothing here has an own way for. */
#include <bpf/libbpf.h>
#include <errno.h>

#include "error.h"
#include "probe.h"

/* libbpf opens nothing without a program; the target is looked at when it starts. */
static int libbpf_open(struct lp_probe *probe)
{
    if (!probe->options.has_cookie || probe->target.kind == LP_USDT)
        return 0;
    return lp_error_set(EOPNOTSUPP, "attach", "%s: such probes have no cookies", probe->target.text);
}

static struct bpf_link *attach_usdt(const struct lp_probe *probe, const struct bpf_program *program)
{
    const struct lp_target *target = &probe->target;
    LIBBPF_OPTS(bpf_usdt_opts, opts, .usdt_cookie = probe->options.cookie);

    return bpf_program__attach_usdt(program, probe->options.pid > 0 ? probe->options.pid : -1, target->path,
                                    target->category, target->name, &opts);
}

static int libbpf_start(struct lp_probe *probe, struct lp_object *object, int i)
{
    const struct bpf_program *program = lp_object_program_at(object, i);

    probe->program_fd = bpf_program__fd(program);
    lp_error_capture();
    probe->link = probe->target.kind == LP_USDT ? attach_usdt(probe, program) : bpf_program__attach(program);
    if (probe->link)
        return 0;
    if (errno == EOPNOTSUPP && probe->target.kind == LP_USDT) {
        lp_error_set(EOPNOTSUPP, "attach", "%s: this kernel can trace it only in one process", probe->target.text);
        lp_error_hint("name the process: pid = PID; from Linux 5.15 on (cookies) all processes can be traced");
        return -EOPNOTSUPP;
    }
    if (errno == ESRCH && probe->target.kind == LP_USDT && probe->options.pid <= 0) {
        lp_error_set(EINVAL, "attach", "%s: the program lacks what USDT probes need", probe->target.text);
        lp_error_hint("write #include <bpf/usdt.bpf.h> in its source, and BPF_USDT for its function");
        return -EINVAL;
    }
    if (errno == EOPNOTSUPP) {
        lp_error_set(EOPNOTSUPP, "attach", "%s: a program of this section cannot be attached by its section alone",
                     probe->target.text);
        return -EOPNOTSUPP;
    }
    return lp_error_from_libbpf(errno, "attach", probe->target.text);
}

static int libbpf_stop(struct lp_probe *probe)
{
    if (probe->link)
        (void)bpf_link__destroy(probe->link);
    probe->link = NULL;
    return 0;
}

static void libbpf_close(struct lp_probe *probe)
{
    (void)libbpf_stop(probe);
}

const struct lp_mechanism lp_libbpf = {
    .name = "libbpf",
    .open = libbpf_open,
    .start = libbpf_start,
    .stop = libbpf_stop,
    .close = libbpf_close,
};
