/*
 * multi.c: the mechanism "multi": one BPF link for any number of functions, of the kernel by fprobe (Linux 5.18 with
 * CONFIG_FPROBE, which Debian's 6.1 lacks) or of one binary (Linux 6.6).
 *
 * Such a program is loaded for it (expected_attach_type), so one that was not is loaded once more that way.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "error.h"
#include "probe.h"

/* Linux 6.6, so not in the headers of Debian 12. */
enum { TRACE_UPROBE_MULTI = 48, UPROBE_MULTI_RETURN = 1 };

/* What BPF_LINK_CREATE takes for both, in the layout of union bpf_attr; libbpf 1.1 knows the first one only. */
struct link_create {
    uint32_t program_fd, target_fd, attach_type, flags;
    union {
        struct {
            uint32_t flags, count;
            uint64_t symbols, addresses, cookies;
        } kernel;
        struct {
            uint64_t path, offsets, reference_counters, cookies;
            uint32_t count, flags, pid;
        } user;
        char whole[112]; /* union bpf_attr of Linux 6.1 has 128 bytes */
    } multi;
};

static bool is_user(const struct lp_probe *probe)
{
    return probe->target.kind == LP_UPROBE || probe->target.kind == LP_URETPROBE;
}

static uint32_t attach_type(const struct lp_probe *probe)
{
    return is_user(probe) ? TRACE_UPROBE_MULTI : BPF_TRACE_KPROBE_MULTI;
}

static int link_create(struct link_create *attr)
{
    int fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, attr, sizeof(*attr));

    return fd < 0 ? -errno : fd;
}

static int unsupported(const struct lp_probe *probe)
{
    lp_error_set(EOPNOTSUPP, "attach", "%s: this kernel has no mechanism multi", probe->target.text);
    lp_error_hint(is_user(probe) ? "it needs Linux 6.6; mechanism auto takes what this kernel has"
                                 : "it needs Linux 5.18 with CONFIG_FPROBE; mechanism auto takes what this kernel has");
    return -EOPNOTSUPP;
}

static int multi_open(struct lp_probe *probe)
{
    if (probe->options.count == 0)
        return lp_error_set(EINVAL, "attach", "%s: stands for no function", probe->target.text);
    return 0;
}

static void fill(const struct lp_probe *probe, const uint64_t *cookies, struct link_create *attr)
{
    const struct lp_probe_options *options = &probe->options;

    if (is_user(probe)) {
        attr->multi.user.path = (uintptr_t)probe->target.path;
        attr->multi.user.offsets = (uintptr_t)options->offsets;
        attr->multi.user.cookies = (uintptr_t)cookies;
        attr->multi.user.count = options->count;
        attr->multi.user.flags = probe->target.returns ? UPROBE_MULTI_RETURN : 0;
        attr->multi.user.pid = (uint32_t)options->pid;
    } else {
        attr->multi.kernel.symbols = (uintptr_t)options->functions;
        attr->multi.kernel.addresses = options->functions ? 0 : (uintptr_t)options->offsets;
        attr->multi.kernel.cookies = (uintptr_t)cookies;
        attr->multi.kernel.count = options->count;
        attr->multi.kernel.flags = probe->target.returns ? BPF_F_KPROBE_MULTI_RETURN : 0;
    }
}

static int refused(const struct lp_probe *probe, int error)
{
    /* An older kernel does not know the attach type, one without CONFIG_FPROBE says EOPNOTSUPP. */
    if (error == -EOPNOTSUPP || error == -EINVAL)
        return unsupported(probe);
    if (is_user(probe) && (error == -ESRCH || error == -524)) /* ENOTSUPP, the kernel's own */
        return probe->kind->explain(probe, error);
    if (error == -ESRCH || error == -ENOENT) {
        lp_error_set(ENOENT, "attach", "%s: this kernel cannot trace %s", probe->target.text,
                     probe->options.count == 1 ? "this function" : "one of these functions");
        lp_error_hint("mechanism multi takes what /sys/kernel/tracing/available_filter_functions lists");
        return -ENOENT;
    }
    return lp_probe_refused(probe, "multi", error);
}

static int multi_start(struct lp_probe *probe, struct lp_object *object, int program)
{
    struct link_create attr = {.attach_type = attach_type(probe)};
    uint64_t *cookies = NULL;
    int fd = lp_probe_take_program(probe, object, program, attr.attach_type);

    if (fd < 0)
        return fd;
    if (probe->options.has_cookie) {
        cookies = calloc(probe->options.count, sizeof(*cookies));
        if (!cookies)
            return lp_error_set(ENOMEM, "attach", "%s: no memory", probe->target.text);
        for (uint32_t i = 0; i < probe->options.count; i++)
            cookies[i] = probe->options.cookie;
    }
    attr.program_fd = (uint32_t)probe->program_fd;
    fill(probe, cookies, &attr);
    probe->link_fd = link_create(&attr);
    free(cookies);
    return probe->link_fd < 0 ? refused(probe, probe->link_fd) : 0;
}

/* Linux 6.7 tells the misses in the link: struct bpf_link_info with kprobe_multi.missed; -1 if not. */
static int64_t read_missed(const struct lp_probe *probe)
{
    struct {
        uint32_t type, id, program, pad;
        uint64_t addresses;
        uint32_t count, flags;
        uint64_t missed, cookies;
    } info = {0};
    uint32_t size = sizeof(info);

    if (is_user(probe) || probe->link_fd < 0 || !lp_kernel_at_least(6, 7) ||
        bpf_obj_get_info_by_fd(probe->link_fd, &info, &size) != 0)
        return -1;
    return (int64_t)info.missed;
}

static void multi_count(const struct lp_probe *probe, struct lp_probe_counts *out)
{
    out->missed = probe->link_fd >= 0 ? read_missed(probe) : probe->link_missed;
}

static int multi_stop(struct lp_probe *probe)
{
    if (probe->link_fd >= 0)
        probe->link_missed = read_missed(probe);
    if (probe->link_fd >= 0)
        close(probe->link_fd);
    probe->link_fd = -1;
    return 0;
}

static void multi_close(struct lp_probe *probe)
{
    (void)multi_stop(probe);
}

const struct lp_mechanism lp_multi = {
    .name = "multi",
    .open = multi_open,
    .start = multi_start,
    .stop = multi_stop,
    .close = multi_close,
    .count = multi_count,
};
