/* json.c: bytes as JSON strings: valid for every parser, harmless to terminals, and reversible. */
#include <stdio.h>
#include <string.h>

#include "luaprobe.h"
#include "text.h"

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
        size_t size = lp_text_character(bytes + i, length - i);
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
