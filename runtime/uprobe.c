/* uprobe.c: what the kernel calls a uprobe's target, and why it refuses one. */
#include <errno.h>
#include <signal.h>

#include "error.h"
#include "probe.h"

/* The kernel's own, which <errno.h> does not have: an instruction that uprobes cannot handle. */
enum { ENOTSUPP = 524 };

int lp_uprobe_explain(const struct lp_probe *probe, int error)
{
    const char *text = probe->target.text;

    switch (error) {
    case -ENODEV:
        lp_error_set(ENODEV, "attach", "%s: this kernel has no uprobes", text);
        lp_error_hint("it needs a kernel with CONFIG_UPROBE_EVENTS");
        break;
    case -ENOENT:
        lp_error_set(ENOENT, "attach", "%s: %s cannot be opened", text, probe->target.path);
        break;
    case -ESRCH:
        lp_error_set(ESRCH, "attach", "%s: there is no process %d", text, probe->options.pid);
        lp_error_hint("leave the process out to trace all that run this binary");
        break;
    case -EINVAL:
        lp_error_set(EINVAL, "attach", "%s: the kernel cannot put a probe at offset 0x%llx of %s", text,
                     (unsigned long long)probe->target.offset, probe->target.path);
        lp_error_hint("is it a regular file with instructions at that offset, on a file system that can be mapped?");
        break;
    case -ENOTSUPP:
        lp_error_set(EOPNOTSUPP, "attach", "%s: the kernel cannot probe the instruction at offset 0x%llx of %s", text,
                     (unsigned long long)probe->target.offset, probe->target.path);
        lp_error_hint("some instructions cannot be run out of their place; for a wildcard, choose a narrower one");
        break;
    default:
        return lp_event_explain(probe, error);
    }
    return error;
}

int lp_uprobe_attr(const struct lp_probe *probe, struct perf_event_attr *attr)
{
    int type = lp_pmu_type("uprobe");
    int bit;

    /* perf_event_open names a missing process like a missing file. */
    if (probe->options.pid > 0 && kill(probe->options.pid, 0) != 0 && errno == ESRCH)
        return lp_uprobe_explain(probe, -ESRCH);
    if (type == -ENOENT)
        return lp_uprobe_explain(probe, -ENODEV);
    if (type < 0)
        return lp_uprobe_explain(probe, type);
    attr->type = (uint32_t)type;
    if (probe->target.returns) {
        bit = lp_pmu_bit("uprobe", "retprobe");
        if (bit < 0)
            return lp_uprobe_explain(probe, bit);
        attr->config = UINT64_C(1) << bit;
    }
    attr->config1 = (uintptr_t)probe->target.path;
    attr->config2 = probe->target.offset;
    return 0;
}
