/* probe.c: one attachment, as a kind of probe and a mechanism make it. */
#include "probe.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

static const struct lp_mechanism *const probe_mechanisms[] = {&lp_link, &lp_perf_ioctl, &lp_legacy, &lp_multi, NULL};
/*
 * A kretprobe by a perf event alone follows ten calls at once, or twice the number of CPUs (before Linux 6.0 as many as
 * there are CPUs), and before 6.7 nothing tells how many it missed. legacy can ask for more, and tracefs always tells.
 */
static const struct lp_mechanism *const kretprobe_mechanisms[] = {&lp_legacy, &lp_link, &lp_perf_ioctl, &lp_multi,
                                                                  NULL};
static const struct lp_mechanism *const event_mechanisms[] = {&lp_link, &lp_perf_ioctl, NULL};
static const struct lp_mechanism *const tracing_mechanisms[] = {&lp_tracing, NULL};
static const struct lp_mechanism *const libbpf_mechanisms[] = {&lp_libbpf, NULL};
static const struct lp_mechanism *const all_mechanisms[] = {&lp_link,    &lp_perf_ioctl, &lp_legacy, &lp_multi,
                                                            &lp_tracing, &lp_libbpf,     NULL};

static const struct lp_kind_ops kinds[] = {
    {LP_KPROBE, false, probe_mechanisms, lp_kprobe_attr, lp_kprobe_explain},
    {LP_KRETPROBE, false, kretprobe_mechanisms, lp_kprobe_attr, lp_kprobe_explain},
    {LP_KSYSCALL, false, probe_mechanisms, lp_kprobe_attr, lp_kprobe_explain},
    {LP_KRETSYSCALL, false, kretprobe_mechanisms, lp_kprobe_attr, lp_kprobe_explain},
    {LP_UPROBE, false, probe_mechanisms, lp_uprobe_attr, lp_uprobe_explain},
    {LP_URETPROBE, false, probe_mechanisms, lp_uprobe_attr, lp_uprobe_explain},
    {LP_TRACEPOINT, false, event_mechanisms, lp_tracepoint_attr, lp_event_explain},
    {LP_PROFILE, true, event_mechanisms, lp_counter_attr, lp_event_explain},
    {LP_SOFTWARE, true, event_mechanisms, lp_counter_attr, lp_event_explain},
    {LP_HARDWARE, true, event_mechanisms, lp_counter_attr, lp_event_explain},
    {LP_RAW_TRACEPOINT, false, tracing_mechanisms, NULL, NULL},
    {LP_BTF_TRACEPOINT, false, tracing_mechanisms, NULL, NULL},
    {LP_FENTRY, false, tracing_mechanisms, NULL, NULL},
    {LP_FEXIT, false, tracing_mechanisms, NULL, NULL},
    {LP_USDT, false, libbpf_mechanisms, NULL, NULL},
    {LP_SECTION, false, libbpf_mechanisms, NULL, NULL},
};

static const struct lp_kind_ops *find_kind(int kind)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i].kind == kind)
            return &kinds[i];
    }
    return NULL;
}

static const struct lp_mechanism *find_mechanism(const struct lp_mechanism *const *list, const char *name)
{
    for (; *list; list++) {
        if (strcmp((*list)->name, name) == 0)
            return *list;
    }
    return NULL;
}

/* The mechanism that the caller named. */
static int take_named(struct lp_probe *probe, const char *name)
{
    probe->mechanism = find_mechanism(probe->kind->mechanisms, name);
    if (probe->mechanism)
        return 0;
    if (find_mechanism(all_mechanisms, name))
        lp_error_set(EINVAL, "attach", "%s: mechanism %s does not attach this kind of probe", probe->target.text, name);
    else
        lp_error_set(EINVAL, "attach", "%s: there is no attach mechanism '%s'", probe->target.text, name);
    lp_error_hint("the mechanisms are auto, link, perf, legacy and multi (kprobes and uprobes), tracing and libbpf");
    return -EINVAL;
}

/* Whether the mechanism can do what the options ask for; an error with the reason if not. */
static int check_options(const struct lp_probe *probe, const struct lp_mechanism *mechanism)
{
    const struct lp_probe_options *options = &probe->options;

    if (options->maxactive > 0 && (mechanism != &lp_legacy || !probe->target.returns)) {
        lp_error_set(EINVAL, "attach", "%s: maxactive is for kretprobes by mechanism legacy", probe->target.text);
        lp_error_hint("leave maxactive out, or use mechanism auto or legacy");
        return -EINVAL;
    }
    if (options->has_cookie && (mechanism == &lp_perf_ioctl || mechanism == &lp_legacy)) {
        lp_error_set(EOPNOTSUPP, "attach", "%s: mechanism %s has no cookies", probe->target.text, mechanism->name);
        lp_error_hint("cookies need Linux 5.15 and mechanism link, or multi");
        return -EOPNOTSUPP;
    }
    return 0;
}

/* The best mechanism that this kernel has for the probe as it is asked for; the last one's reason if there is none. */
static int take_best(struct lp_probe *probe)
{
    int error = 0;

    for (const struct lp_mechanism *const *next = probe->kind->mechanisms; *next; next++) {
        /* Several functions at once are for multi, and a single one for the others. */
        if ((*next == &lp_multi) != (probe->options.count > 0))
            continue;
        error = check_options(probe, *next);
        if (error == 0 && (!(*next)->available || (*next)->available(probe))) {
            probe->mechanism = *next;
            return 0;
        }
    }
    if (error)
        return error;
    probe->mechanism = probe->kind->mechanisms[0]; /* its open says what is missing */
    return 0;
}

struct lp_probe *lp_probe_open(const struct lp_target *target, const struct lp_probe_options *options)
{
    struct lp_probe *probe = malloc(sizeof(*probe));
    int error;

    if (!probe) {
        lp_error_set(ENOMEM, "attach", "%s: no memory", target->text);
        return NULL;
    }
    *probe = (struct lp_probe){.target = *target,
                               .options = *options,
                               .program_fd = -1,
                               .link_fd = -1,
                               .profile_fd = -1,
                               .keeper_fd = -1,
                               .link_missed = -1};
    probe->kind = find_kind(target->kind);
    if (!probe->kind) {
        lp_error_set(EINVAL, "attach", "%s: no such kind of probe", target->text);
        goto fail;
    }
    if (strcmp(options->mechanism, "auto") == 0)
        error = take_best(probe);
    else
        error = take_named(probe, options->mechanism);
    if (error == 0)
        error = check_options(probe, probe->mechanism);
    if (error == 0 && probe->mechanism->open(probe) == 0)
        return probe;

fail:
    lp_probe_close(probe);
    return NULL;
}

int lp_probe_add(struct lp_probe *probe, const struct lp_target *target)
{
    if (probe->mechanism->add)
        return probe->mechanism->add(probe, target);
    lp_error_set(EOPNOTSUPP, "attach", "%s: mechanism %s takes one function only", target->text,
                 probe->mechanism->name);
    return -EOPNOTSUPP;
}

int lp_probe_refused(const struct lp_probe *probe, const char *mechanism, int error)
{
    lp_error_set(-error, "attach", "%s: the kernel refused the program (mechanism %s): %s", probe->target.text,
                 mechanism, strerror(-error));
    if (error == -EEXIST)
        lp_error_hint("does it run there already? Detach that probe first");
    else if (error == -EINVAL)
        lp_error_hint("is the program of the type that this kind of target asks for?");
    else if (error == -EPERM || error == -EACCES)
        lp_error_hint_permission();
    return error;
}

/*
 * Runs that were left out since the program was running already were counted for programs of perf events first by Linux
 * 6.7, for those of "tracing" by 5.12.
 */
static bool tells_program_missed(const struct lp_probe *probe)
{
    return probe->mechanism == &lp_tracing ? lp_kernel_at_least(5, 12) : lp_kernel_at_least(6, 7);
}

/* What the kernel counted for the program so far. */
static void program_counts(int program_fd, uint64_t *runs, uint64_t *missed)
{
    struct bpf_prog_info info = {0};
    uint32_t size = sizeof(info);

    *runs = *missed = 0;
    if (program_fd < 0 || bpf_obj_get_info_by_fd(program_fd, &info, &size) != 0)
        return;
    *runs = info.run_cnt;
    *missed = info.recursion_misses;
}

int lp_probe_take_program(struct lp_probe *probe, struct lp_object *object, int program, uint32_t attach_type)
{
    int fd = lp_object_program_for(object, program, attach_type);

    if (fd >= 0 && probe->program_fd < 0)
        program_counts(fd, &probe->runs_before, &probe->missed_before);
    probe->program_fd = fd;
    return fd;
}

int lp_probe_start(struct lp_probe *probe, struct lp_object *object, int program)
{
    return probe->mechanism->start(probe, object, program);
}

int lp_probe_stop(struct lp_probe *probe)
{
    return probe->mechanism->stop(probe);
}

const char *lp_probe_mechanism(const struct lp_probe *probe)
{
    return probe->mechanism->name;
}

uint32_t lp_probe_functions(const struct lp_probe *probe)
{
    return probe->options.count > 0 ? probe->options.count : 1 + probe->added;
}

static bool stats_enabled;

int lp_stats_enable(void)
{
    int fd;

    if (stats_enabled)
        return 0;
    fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
    if (fd < 0) {
        lp_error_set(-fd, "attach", "the kernel cannot count the runs of BPF programs: %s", strerror(-fd));
        if (fd == -EPERM)
            lp_error_hint_permission();
        else
            lp_error_hint("it needs Linux 5.8");
        return fd;
    }
    stats_enabled = true; /* until the descriptor is closed, which the end of the process does */
    return 0;
}

/* Whether calls may not even reach the program: of kprobes inside of other probes, and returns of too many at once. */
static bool misses_calls(int kind)
{
    return kind == LP_KPROBE || kind == LP_KSYSCALL || kind == LP_KRETPROBE || kind == LP_KRETSYSCALL ||
           kind == LP_URETPROBE;
}

void lp_probe_counts(const struct lp_probe *probe, struct lp_probe_counts *out)
{
    uint64_t runs;
    uint64_t missed;

    program_counts(probe->program_fd, &runs, &missed);
    *out = (struct lp_probe_counts){
        .hits = -1,
        .missed = -1,
        .program_runs = stats_enabled ? (int64_t)(runs - probe->runs_before) : -1,
        .program_missed = tells_program_missed(probe) ? (int64_t)(missed - probe->missed_before) : -1,
        .only_program_misses = !misses_calls(probe->target.kind),
    };
    if (probe->mechanism->count)
        probe->mechanism->count(probe, out);
}

/* The counts are read when nothing runs any more: reading tracefs is work that may be traced itself. */
void lp_probe_halt(struct lp_probe *probe, struct lp_probe_counts *counts)
{
    probe->closing = true;
    (void)probe->mechanism->stop(probe);
    lp_probe_counts(probe, counts);
}

void lp_probe_free(struct lp_probe *probe)
{
    if (probe->mechanism)
        probe->mechanism->close(probe);
    free(probe);
}

void lp_probe_close(struct lp_probe *probe)
{
    if (!probe)
        return;
    if (probe->mechanism)
        (void)probe->mechanism->stop(probe);
    lp_probe_free(probe);
}
