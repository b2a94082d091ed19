/* bytes.h: the table of embedded files, which the build generates (cmake/embed.lua). */
#ifndef LUAPROBE_BYTES_H
#define LUAPROBE_BYTES_H

#include "luaprobe.h"

struct lp_embedded {
    const char *name;
    const char *begin;
    const char *end;
};

/* Ends with an entry whose name is NULL. */
extern const struct lp_embedded lp_embedded_files[];

#endif
