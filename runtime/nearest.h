/* nearest.h: the names that differ from a given one by the fewest letters. See nearest.c. */
#ifndef LUAPROBE_NEAREST_H
#define LUAPROBE_NEAREST_H

#include <stddef.h>

enum { LP_NEAREST_MAX = 16 };

struct lp_nearest {
    const char *name;
    size_t length;
    const char **found; /* the caller's, room for max */
    int distance[LP_NEAREST_MAX];
    int count;
    int max;
};

void lp_nearest_begin(struct lp_nearest *nearest, const char *name, const char **found, int max);
/* Keeps the name if it is among the nearest so far. */
void lp_nearest_offer(struct lp_nearest *nearest, const char *name);

#endif
