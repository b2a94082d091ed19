/* tracefs.h: see tracefs.c. */
#ifndef LUAPROBE_TRACEFS_H
#define LUAPROBE_TRACEFS_H

/* A descriptor of tracefs's root directory, for openat; a negative errno, with the last error set, on failure. */
int lp_tracefs_open(void);
/*
 * The number that perf_event_open knows an event by ("sched/sched_switch"). A negative errno: -ENOENT when there is no
 * such event; the last error is set for all others.
 */
int lp_tracefs_event_id(const char *event, const char *target);

#endif
