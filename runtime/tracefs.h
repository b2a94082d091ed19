/* tracefs.h: see tracefs.c. */
#ifndef LUAPROBE_TRACEFS_H
#define LUAPROBE_TRACEFS_H

/* A descriptor of tracefs's root directory, for openat; a negative errno, with the last error set, on failure. */
int lp_tracefs_open(void);

#endif
