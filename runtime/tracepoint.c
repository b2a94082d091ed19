/* tracepoint.c: tracepoints, as perf events of the number that tracefs gives each of them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "probe.h"
#include "tracefs.h"

int lp_event_explain(const struct lp_probe *probe, int error)
{
    const char *text = probe->target.text;

    lp_error_set(-error, "attach", "%s: %s", text, strerror(-error));
    if (error == -EPERM || error == -EACCES)
        lp_error_hint_permission();
    else if (error == -ESRCH) {
        lp_error_set(ESRCH, "attach", "%s: there is no process %d", text, probe->options.pid);
    } else if (probe->target.kind == LP_PROFILE && error == -EINVAL) {
        lp_error_hint("is it more often than sysctl kernel.perf_event_max_sample_rate allows?");
    } else if (probe->target.kind == LP_HARDWARE && (error == -ENOENT || error == -EOPNOTSUPP)) {
        lp_error_set(-error, "attach", "%s: this machine does not count %s", text, probe->target.name);
        lp_error_hint("virtual machines often have no hardware counters; software:cpu-clock works everywhere");
    }
    return error;
}

int lp_tracepoint_attr(const struct lp_probe *probe, struct perf_event_attr *attr)
{
    const struct lp_target *target = &probe->target;
    char event[sizeof(target->category) + sizeof(target->name)];
    int id;

    snprintf(event, sizeof(event), "%s/%s", target->category, target->name);
    id = lp_tracefs_event_id(event, target->text);
    if (id == -ENOENT) {
        lp_error_set(ENOENT, "attach", "%s: this kernel has no such tracepoint", target->text);
        lp_error_hint("see what there is: sudo luaprobe list 'tracepoint:*'");
    }
    if (id < 0)
        return id;
    attr->type = PERF_TYPE_TRACEPOINT;
    attr->config = (unsigned)id;
    return 0;
}
