/* bytes.h: the table of embedded files, which the build generates (cmake/embed.lua). */
#ifndef LUAPROBE_BYTES_H
#define LUAPROBE_BYTES_H

#include <sys/types.h>

#include "luaprobe.h"

struct lp_embedded {
    const char *name;
    const char *begin;
    const char *end;
};

/* Ends with an entry whose name is NULL. */
extern const struct lp_embedded lp_embedded_files[];

/* Reads until `size` bytes are there, or the end of the file; returns how many, or a negative errno. */
ssize_t lp_bytes_read_fully(int fd, char *data, size_t size);

/* Reads to the end of a file whose size is not known beforehand, as in /proc and tracefs; a NUL follows the bytes. */
int lp_bytes_read_stream(int fd, struct lp_bytes *out);

/* The same of the lines alone that contain a text: of some lists, megabytes are not wanted. */
int lp_bytes_read_lines(int fd, const char *containing, struct lp_bytes *out);

/* Writes all of it: 0 or a negative errno. */
int lp_bytes_write(int fd, const char *data, size_t size);

#endif
