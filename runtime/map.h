/* map.h: what map.c and walk.c share. */
#ifndef LUAPROBE_MAP_H
#define LUAPROBE_MAP_H

#include "luaprobe.h"

/* The kernel's "operation not supported" for BPF maps; not in any libc's <errno.h>. */
enum { ENOTSUPP = 524 };

/* Sets the last error for what a map operation returned; returns a negative errno that libc knows. */
int lp_map_explain(int error);

#endif
