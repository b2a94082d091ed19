/* base64.h: see base64.c. */
#ifndef LUAPROBE_BASE64_H
#define LUAPROBE_BASE64_H

#include <stddef.h>
#include <sys/types.h>

/* How many characters `size` bytes become, line ends not counted. */
size_t lp_base64_length(size_t size);
/* Writes lp_base64_length(size) characters. */
void lp_base64_encode(const void *data, size_t size, char *out);
/*
 * Appends what `length` characters stand for to `out`, which has room for length / 4 * 3 bytes. Returns how many bytes,
 * or -1 when it is not base64: padding in the middle, bits that no encoder sets, any other character.
 */
ssize_t lp_base64_decode(const char *text, size_t length, void *out);

#endif
