/*
 * kprobe.c: what the kernel calls a kprobe's target, and why it refuses one.
 *
 * The perf event is opened on CPU 0, but the kprobe and the program bound to it work on all.
 */
#include <errno.h>
#include <stdio.h>

#include "error.h"
#include "probe.h"

int lp_kprobe_explain(const struct lp_probe *probe, int error)
{
    const char *text = probe->target.text;
    const char *name = probe->target.name;

    /* Linux 5.10 says so to addresses outside of its code. */
    if (error == -EPERM && name[0] == '\0' && lp_error_has_capabilities())
        error = -ENOENT;
    switch (error) {
    case -ENODEV:
        lp_error_set(ENODEV, "attach", "%s: this kernel has no kprobes", text);
        lp_error_hint("it needs a kernel with CONFIG_KPROBE_EVENTS; tracepoints work without");
        break;
    case -ENOENT:
        if (name[0] == '\0') {
            lp_error_set(ENOENT, "attach", "%s: no function of this kernel is at this address", text);
            lp_error_hint("addresses change at every boot; see /proc/kallsyms, or name the function");
            break;
        }
        lp_error_set(ENOENT, "attach", "%s: this kernel has no function %s that can be probed", text, name);
        lp_error_hint("see what it is called here: sudo grep -w '%s' /proc/kallsyms; it may be inlined, renamed, or "
                      "in a module that is not loaded",
                      name);
        break;
    case -EILSEQ:
        lp_error_set(EILSEQ, "attach", "%s: the offset is not the start of an instruction", text);
        lp_error_hint("leave the offset out, or take it from the function's disassembly");
        break;
    case -EINVAL:
    case -EADDRNOTAVAIL:
        lp_error_set(-error, "attach", "%s: the kernel does not let this %s be probed", text,
                     probe->target.offset > 0 ? "place" : "function");
        lp_error_hint("functions that are notrace, or listed in /sys/kernel/debug/kprobes/blacklist, cannot be; "
                      "probe one that calls it");
        break;
    default:
        return lp_event_explain(probe, error);
    }
    return error;
}

/* "function" or "module:function", as both perf_event_open and tracefs take it; kept in a buffer of the caller's. */
static const char *symbol(const struct lp_target *target, char *out, size_t size)
{
    if (target->category[0] == '\0')
        return target->name;
    snprintf(out, size, "%s:%s", target->category, target->name);
    return out;
}

int lp_kprobe_attr(const struct lp_probe *probe, struct perf_event_attr *attr)
{
    static char name[sizeof(probe->target.category) + sizeof(probe->target.name)];
    const struct lp_target *target = &probe->target;
    int type = lp_pmu_type("kprobe");
    int bit;

    if (type == -ENOENT)
        return lp_kprobe_explain(probe, -ENODEV);
    if (type < 0)
        return lp_kprobe_explain(probe, type);
    attr->type = (uint32_t)type;
    if (target->returns) {
        bit = lp_pmu_bit("kprobe", "retprobe");
        if (bit < 0)
            return lp_kprobe_explain(probe, bit);
        attr->config = UINT64_C(1) << bit;
    }
    /* A name and an offset behind it, or no name and an address. */
    if (target->name[0] != '\0')
        attr->config1 = (uintptr_t)symbol(target, name, sizeof(name));
    attr->config2 = target->offset;
    return 0;
}
