/*
 * pack_data.c: an object's bytes as text and back: deflated by zlib, then base64 in lines.
 *
 * What is inflated is bounded by the size that the manifest says, and that by LP_PACK_OBJECT_SIZE, so a few bytes
 * cannot stand for gigabytes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base64.h"
#include "error.h"
#include "pack.h"

static int damaged(const char *subject, const char *what)
{
    lp_error_set(EBADMSG, "read", "%s: %s", subject, what);
    lp_error_hint("get the file again, or pack it again from its source: luaprobe pack");
    return -EBADMSG;
}

static int no_memory(const char *subject)
{
    return lp_error_set(ENOMEM, "read", "%s: no memory", subject);
}

/* Full lines, and a last one that may be shorter, each with its line end. Returns the bytes, or -1. */
static ssize_t decode_lines(const char *text, size_t length, uint8_t *out)
{
    const char *end = text + length;
    uint8_t *next = out;

    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t line = newline ? (size_t)(newline - text) : 0;
        ssize_t size = line > 0 && line <= LP_PACK_LINE ? lp_base64_decode(text, line, next) : -1;

        /* Only the last line may be short, or padded. */
        if (size < 0 || (newline + 1 < end && size != (ssize_t)LP_PACK_LINE / 4 * 3))
            return -1;
        next += size;
        text = newline + 1;
    }
    return next - out;
}

/* Exactly `size` bytes come out of the stream, and nothing is left of it. */
static bool inflate_exactly(const uint8_t *packed, size_t packed_size, uint8_t *out, uint32_t size)
{
    z_stream stream = {.next_in = (uint8_t *)packed, .avail_in = (uInt)packed_size};
    int result;

    if (inflateInit(&stream) != Z_OK)
        return false;
    stream.next_out = out;
    stream.avail_out = size + 1; /* one more than it may fill */
    result = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    return result == Z_STREAM_END && stream.total_out == size && stream.avail_in == 0;
}

int lp_pack_decode(const char *subject, const char *text, size_t length, uint32_t size, struct lp_bytes *out)
{
    uint8_t *packed = malloc(length + 1);
    uint8_t *data = malloc((size_t)size + 1);
    ssize_t packed_size;
    int error = 0;

    if (!packed || !data) {
        error = no_memory(subject);
        goto done;
    }
    packed_size = decode_lines(text, length, packed);
    if (packed_size < 0)
        error = damaged(subject, "the packed object is not base64");
    else if (!inflate_exactly(packed, (size_t)packed_size, data, size))
        error = damaged(subject, "the packed object does not decompress to what its manifest says");
done:
    free(packed);
    if (error) {
        free(data);
        return error;
    }
    *out = (struct lp_bytes){(char *)data, size};
    return 0;
}

static size_t break_lines(const char *text, size_t length, char *out)
{
    char *next = out;

    for (size_t i = 0; i < length; i += LP_PACK_LINE) {
        size_t line = length - i < LP_PACK_LINE ? length - i : LP_PACK_LINE;

        memcpy(next, text + i, line);
        next += line;
        *next++ = '\n';
    }
    return (size_t)(next - out);
}

int lp_pack_encode(const void *data, size_t size, struct lp_bytes *out)
{
    uLongf packed_size = compressBound(size);
    size_t length = lp_base64_length(packed_size);
    uint8_t *packed = malloc(packed_size);
    char *text = malloc(length);
    char *lines = malloc(length + length / LP_PACK_LINE + 2);
    int error = 0;

    if (size > LP_PACK_OBJECT_SIZE)
        error = lp_error_set(EFBIG, "read", "an object of %zu bytes is too large to be packed", size);
    else if (!packed || !text || !lines || compress2(packed, &packed_size, data, size, Z_BEST_COMPRESSION) != Z_OK)
        error = no_memory("pack");
    if (error || !text || !lines) {
        free(lines);
    } else {
        lp_base64_encode(packed, packed_size, text);
        *out = (struct lp_bytes){lines, break_lines(text, lp_base64_length(packed_size), lines)};
    }
    free(packed);
    free(text);
    return error;
}
