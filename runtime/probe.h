/*
 * probe.h: how a probe is made of a kind and a mechanism.
 *
 * A kind (kprobe, tracepoint, …) knows how to open the kernel's side; a mechanism knows how to bind a program to it.
 * A new kind is a row in probe.c's table and one open function; a new mechanism is one struct lp_mechanism.
 */
#ifndef LUAPROBE_PROBE_H
#define LUAPROBE_PROBE_H

#include "luaprobe.h"

struct lp_mechanism;

struct lp_probe {
    struct lp_target target;
    const struct lp_mechanism *mechanism;
    int event_fd; /* the perf event */
    int link_fd;  /* the BPF link, or -1 */
};

struct lp_mechanism {
    const char *name;
    /* Binds the program to the open probe. Returns 0 or a negative errno, and then has changed nothing. */
    int (*attach)(struct lp_probe *probe, int program_fd);
};

/* Open functions, one per kind: fill probe->event_fd, or set the last error and return it. */
int lp_kprobe_open(struct lp_probe *probe);
int lp_tracepoint_open(struct lp_probe *probe);

#endif
