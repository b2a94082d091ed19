/* json.c: bytes as JSON strings: valid for every parser, harmless to terminals, and reversible. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "luaprobe.h"

static bool continues(const unsigned char *text, size_t i, size_t left)
{
    return i < left && (text[i] & 0xc0) == 0x80;
}

/*
 * How many bytes the character has that the text begins with; 0 when it is not UTF-8 (overlong, a surrogate, beyond
 * U+10FFFF, cut off), or one of those that stand for bytes.
 */
static size_t character_size(const unsigned char *text, size_t left)
{
    unsigned char first = text[0];

    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        return continues(text, 1, left) ? 2 : 0;
    if (first >= 0xe0 && first <= 0xef) {
        if (!continues(text, 1, left) || !continues(text, 2, left) || (first == 0xe0 && text[1] < 0xa0) ||
            (first == 0xed && text[1] > 0x9f) || (first == 0xee && text[1] >= 0xbe))
            return 0;
        return 3;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        if (!continues(text, 1, left) || !continues(text, 2, left) || !continues(text, 3, left) ||
            (first == 0xf0 && text[1] < 0x90) || (first == 0xf4 && text[1] > 0x8f))
            return 0;
        return 4;
    }
    return 0;
}

static char *put_unicode(char *out, unsigned code)
{
    static const char digits[] = "0123456789abcdef";

    *out++ = '\\';
    *out++ = 'u';
    for (int shift = 12; shift >= 0; shift -= 4)
        *out++ = digits[code >> shift & 15];
    return out;
}

/* The letter behind the backslash, or 0. */
static char short_escape(unsigned char byte)
{
    static const char bytes[] = "\"\\\n\t\r\b\f";
    static const char letters[] = "\"\\ntrbf";
    const char *found = byte ? strchr(bytes, byte) : NULL;

    return found ? letters[found - bytes] : '\0';
}

size_t lp_json_escape(const char *text, size_t length, char *out)
{
    const unsigned char *bytes = (const unsigned char *)text;
    char *next = out;

    for (size_t i = 0; i < length;) {
        size_t size = character_size(bytes + i, length - i);
        char letter = short_escape(bytes[i]);

        if (size == 0) {
            next = put_unicode(next, 0xef00U + bytes[i++]);
        } else if (letter) {
            *next++ = '\\';
            *next++ = letter;
            i++;
        } else if (bytes[i] < 0x20 || bytes[i] == 0x7f) {
            next = put_unicode(next, bytes[i++]);
        } else if (bytes[i] == 0xc2 && bytes[i + 1] < 0xa0) {
            next = put_unicode(next, bytes[i + 1]); /* control characters of 8 bits */
            i += 2;
        } else {
            memcpy(next, bytes + i, size);
            next += size;
            i += size;
        }
    }
    return (size_t)(next - out);
}
