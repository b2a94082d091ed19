/*
 * probe.h: how a probe is made of a kind and a mechanism.
 *
 * A kind (kprobe, tracepoint, …) knows what the kernel calls its target; a mechanism knows how to let a program run
 * there. A new kind is a row in probe.c's table and perhaps an open function; a new mechanism is one struct
 * lp_mechanism.
 */
#ifndef LUAPROBE_PROBE_H
#define LUAPROBE_PROBE_H

#include <linux/perf_event.h>

#include "luaprobe.h"
#include "object.h"

/* A perf event, and the BPF link that binds a program to it; -1 for what is not open. */
struct lp_perf {
    int event_fd;
    int link_fd;
};

struct lp_probe {
    struct lp_target target;
    struct lp_probe_options options;
    const struct lp_kind_ops *kind;
    const struct lp_mechanism *mechanism;
    int program_fd;       /* of the object that runs here, or -1 */
    uint64_t runs_before; /* that program's run count before it was first started here */
    uint64_t missed_before;
    struct lp_probe_counts ended; /* "legacy": what was counted until the last stop, */
    struct lp_probe_counts begun; /* and what the kernel had counted at the last start */
    int64_t link_missed;          /* what the link told when it was taken away, or -1 */
    struct lp_perf *perfs;        /* "link", "perf", "legacy": one; those of perf events proper: one per CPU */
    uint32_t perf_count;
    char *event;                /* "legacy": its tracefs event, "GROUP/NAME" */
    int event_id;               /* "legacy": that event's number */
    int profile_fd;             /* "legacy": what the kernel counts of events, or -1 */
    uint32_t added;             /* "legacy": functions that joined the event */
    int keeper_fd;              /* "legacy": keeps the event's probes while the program is taken away, or -1 */
    struct lp_probe *next_live; /* "legacy": the next that has an event */
    bool closing;               /* this stop is the last */
    int link_fd;                /* "multi", "tracing" */
    struct bpf_link *link;      /* "libbpf" */
    struct lp_probe *next;      /* of those that are freed together */
};

struct lp_mechanism {
    const char *name;
    /* Whether this kernel has it, as far as can be told without a program; NULL: yes. */
    bool (*available)(const struct lp_probe *probe);
    /* Opens what is needed before a program can run. Each returns 0, or sets the last error and returns it. */
    int (*open)(struct lp_probe *probe);
    /* Adds one more function to an open probe; NULL: it takes one, or all of them when it is opened. */
    int (*add)(struct lp_probe *probe, const struct lp_target *target);
    int (*start)(struct lp_probe *probe, struct lp_object *object, int program);
    /* The program runs no more when it returns; what costs time and can wait is left to close. */
    int (*stop)(struct lp_probe *probe);
    /* After stop; frees everything. Called by a thread of its own when there is much to free. */
    void (*close)(struct lp_probe *probe);
    /* Fills in what this mechanism counts, also after stop; NULL: nothing. */
    void (*count)(const struct lp_probe *probe, struct lp_probe_counts *out);
};

/* What the mechanisms ask of a kind; NULL for what it does not have. */
struct lp_kind_ops {
    int kind;
    bool per_cpu; /* a perf event counts on its own CPU only, so there must be one for each */
    const struct lp_mechanism *const *mechanisms; /* the best first; "auto" tries them in this order */
    /* Fills attr for perf_event_open, or sets the last error and returns it. */
    int (*perf_attr)(const struct lp_probe *probe, struct perf_event_attr *attr);
    /* Sets the last error for what perf_event_open, or writing the tracefs event, returned. */
    int (*explain)(const struct lp_probe *probe, int error);
};

extern const struct lp_mechanism lp_link, lp_perf_ioctl, lp_legacy, lp_multi, lp_tracing, lp_libbpf;

/* probe.c: the program to run here, loaded for an attach type; a descriptor, which the object owns, or an error. */
int lp_probe_take_program(struct lp_probe *probe, struct lp_object *object, int program, uint32_t attach_type);

/* probe.c: both halves of lp_probe_close. */
void lp_probe_halt(struct lp_probe *probe, struct lp_probe_counts *counts);
void lp_probe_free(struct lp_probe *probe);

/* perf.c: opens the probe's perf events as its kind says. */
int lp_perf_open(struct lp_probe *probe);
/* Opens one perf event with the given attributes as the probe's only one. */
int lp_perf_open_one(struct lp_probe *probe, struct perf_event_attr *attr);
int lp_perf_start_ioctl(struct lp_probe *probe, struct lp_object *object, int program);
int lp_perf_stop(struct lp_probe *probe);
void lp_perf_close(struct lp_probe *probe);

/* pmu.c: the config bit that makes it a return probe, or the lowest one of the reference counter's offset. */
int lp_pmu_bit(const char *pmu, const char *field);

/* Sets the last error for a program that the kernel refused to run at the probe; returns error. */
int lp_probe_refused(const struct lp_probe *probe, const char *mechanism, int error);

/* kprobe.c, uprobe.c, tracepoint.c, perf_event.c */
int lp_kprobe_attr(const struct lp_probe *probe, struct perf_event_attr *attr);
int lp_kprobe_explain(const struct lp_probe *probe, int error);
int lp_uprobe_attr(const struct lp_probe *probe, struct perf_event_attr *attr);
int lp_uprobe_explain(const struct lp_probe *probe, int error);
int lp_tracepoint_attr(const struct lp_probe *probe, struct perf_event_attr *attr);
int lp_counter_attr(const struct lp_probe *probe, struct perf_event_attr *attr);
int lp_event_explain(const struct lp_probe *probe, int error);

#endif
