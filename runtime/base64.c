/* base64.c: RFC 4648, strictly: each text stands for bytes that have no other text. */
#include "base64.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t lp_base64_length(size_t size)
{
    return (size + 2) / 3 * 4;
}

void lp_base64_encode(const void *data, size_t size, char *out)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t group = (uint32_t)bytes[i] << 16;

        if (left > 1)
            group |= (uint32_t)bytes[i + 1] << 8;
        if (left > 2)
            group |= bytes[i + 2];
        *out++ = digits[group >> 18];
        *out++ = digits[group >> 12 & 63];
        *out++ = left > 1 ? digits[group >> 6 & 63] : '=';
        *out++ = left > 2 ? digits[group & 63] : '=';
    }
}

static int value_of(char c)
{
    const char *found = c ? strchr(digits, c) : NULL;

    return found ? (int)(found - digits) : -1;
}

/* Four characters, of which the last `padding` are '='; -1 when they are not base64. */
static int decode_group(const char *text, int padding, uint8_t *out)
{
    uint32_t group = 0;

    for (int i = 0; i < 4; i++) {
        int value = i < 4 - padding ? value_of(text[i]) : 0;

        if (value < 0)
            return -1;
        group = group << 6 | (uint32_t)value;
    }
    if (group & ((1U << (8 * padding)) - 1))
        return -1;
    for (int i = 0; i < 3 - padding; i++)
        out[i] = (uint8_t)(group >> (16 - 8 * i));
    return 3 - padding;
}

ssize_t lp_base64_decode(const char *text, size_t length, void *out)
{
    uint8_t *next = out;

    if (length % 4 != 0)
        return -1;
    for (size_t i = 0; i < length; i += 4) {
        bool last = i + 4 == length;
        int padding = !last || text[i + 3] != '=' ? 0 : text[i + 2] != '=' ? 1 : 2;
        int size = decode_group(text + i, padding, next);

        if (size < 0)
            return -1;
        next += size;
    }
    return next - (uint8_t *)out;
}
