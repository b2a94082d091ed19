/* perf_event.c: perf events that sample by themselves: time, software and hardware counters. */
#include <errno.h>
#include <string.h>

#include "error.h"
#include "probe.h"

/* As perf list names them, with the period that is taken when the target says none. */
static const struct counter {
    int kind;
    const char *name;
    uint64_t config;
    uint64_t period;
} counters[] = {
    {LP_SOFTWARE, "cpu-clock", PERF_COUNT_SW_CPU_CLOCK, 1000000},
    {LP_SOFTWARE, "task-clock", PERF_COUNT_SW_TASK_CLOCK, 1000000},
    {LP_SOFTWARE, "page-faults", PERF_COUNT_SW_PAGE_FAULTS, 100},
    {LP_SOFTWARE, "faults", PERF_COUNT_SW_PAGE_FAULTS, 100},
    {LP_SOFTWARE, "minor-faults", PERF_COUNT_SW_PAGE_FAULTS_MIN, 100},
    {LP_SOFTWARE, "major-faults", PERF_COUNT_SW_PAGE_FAULTS_MAJ, 1},
    {LP_SOFTWARE, "context-switches", PERF_COUNT_SW_CONTEXT_SWITCHES, 1000},
    {LP_SOFTWARE, "cs", PERF_COUNT_SW_CONTEXT_SWITCHES, 1000},
    {LP_SOFTWARE, "cpu-migrations", PERF_COUNT_SW_CPU_MIGRATIONS, 1},
    {LP_SOFTWARE, "alignment-faults", PERF_COUNT_SW_ALIGNMENT_FAULTS, 1},
    {LP_SOFTWARE, "emulation-faults", PERF_COUNT_SW_EMULATION_FAULTS, 1},
    {LP_HARDWARE, "cpu-cycles", PERF_COUNT_HW_CPU_CYCLES, 1000000},
    {LP_HARDWARE, "cycles", PERF_COUNT_HW_CPU_CYCLES, 1000000},
    {LP_HARDWARE, "instructions", PERF_COUNT_HW_INSTRUCTIONS, 1000000},
    {LP_HARDWARE, "cache-references", PERF_COUNT_HW_CACHE_REFERENCES, 1000000},
    {LP_HARDWARE, "cache-misses", PERF_COUNT_HW_CACHE_MISSES, 1000000},
    {LP_HARDWARE, "branch-instructions", PERF_COUNT_HW_BRANCH_INSTRUCTIONS, 100000},
    {LP_HARDWARE, "branches", PERF_COUNT_HW_BRANCH_INSTRUCTIONS, 100000},
    {LP_HARDWARE, "branch-misses", PERF_COUNT_HW_BRANCH_MISSES, 100000},
    {LP_HARDWARE, "bus-cycles", PERF_COUNT_HW_BUS_CYCLES, 100000},
    {LP_HARDWARE, "ref-cycles", PERF_COUNT_HW_REF_CPU_CYCLES, 1000000},
};

static const struct counter *find(const struct lp_target *target)
{
    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        if (counters[i].kind == target->kind && strcmp(counters[i].name, target->name) == 0)
            return &counters[i];
    }
    return NULL;
}

static int unknown(const struct lp_target *target)
{
    lp_error_set(ENOENT, "attach", "%s: there is no %s counter of this name", target->text, target->word);
    lp_error_hint(target->kind == LP_SOFTWARE
                      ? "they are cpu-clock, task-clock, page-faults, minor-faults, major-faults, context-switches, "
                        "cpu-migrations, alignment-faults and emulation-faults"
                      : "they are cpu-cycles, instructions, cache-references, cache-misses, branch-instructions, "
                        "branch-misses, bus-cycles and ref-cycles");
    return -ENOENT;
}

/* profile: the CPU clock, by frequency or by nanoseconds. */
static int profile_attr(const struct lp_target *target, struct perf_event_attr *attr)
{
    static const struct {
        const char *unit;
        uint64_t nanoseconds;
    } units[] = {{"s", 1000000000}, {"ms", 1000000}, {"us", 1000}};

    attr->type = PERF_TYPE_SOFTWARE;
    attr->config = PERF_COUNT_SW_CPU_CLOCK;
    if (strcmp(target->name, "hz") == 0) {
        attr->freq = 1;
        attr->sample_freq = target->period;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(target->name, units[i].unit) == 0 &&
            __builtin_mul_overflow(target->period, units[i].nanoseconds, &attr->sample_period))
            return lp_error_set(EINVAL, "attach", "%s: that is too long", target->text);
    }
    return 0;
}

int lp_counter_attr(const struct lp_probe *probe, struct perf_event_attr *attr)
{
    const struct lp_target *target = &probe->target;
    const struct counter *counter;

    if (target->kind == LP_PROFILE)
        return profile_attr(target, attr);
    counter = find(target);
    if (!counter)
        return unknown(target);
    attr->type = target->kind == LP_SOFTWARE ? PERF_TYPE_SOFTWARE : PERF_TYPE_HARDWARE;
    attr->config = counter->config;
    attr->sample_period = target->period > 0 ? target->period : counter->period;
    return 0;
}
