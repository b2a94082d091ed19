/* pack.h: what pack.c (the trailer's text) and pack_data.c (an object's bytes) share. */
#ifndef LUAPROBE_PACK_H
#define LUAPROBE_PACK_H

#include "luaprobe.h"

enum {
    LP_PACK_FORMAT = 1,
    LP_PACK_OBJECT_SIZE = 16 << 20, /* bytes of an object, at most: no BPF object comes near */
    LP_PACK_LINE = 100              /* characters of base64 in a line; a multiple of 4 */
};

/* The lines of base64 in `text`, of `length` bytes, as the object's bytes: exactly `size` of them. */
int lp_pack_decode(const char *subject, const char *text, size_t length, uint32_t size, struct lp_bytes *out);

#endif
