/* text.c: text that comes from traced processes, and the clocks. */
#include "text.h"

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "luaprobe.h"

size_t lp_text_length(const char *text, size_t size)
{
    return strnlen(text, size);
}

static bool continues(const unsigned char *text, size_t i, size_t left)
{
    return i < left && (text[i] & 0xc0) == 0x80;
}

size_t lp_text_character(const unsigned char *text, size_t left)
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

/* What makes a terminal do something or show text in another order: C1 controls, bidirectional overrides and isolates.
 */
static bool drives_terminal(const unsigned char *text, size_t size)
{
    if (size == 2)
        return text[0] == 0xc2 && text[1] < 0xa0;
    if (size != 3 || text[0] != 0xe2)
        return false;
    return (text[1] == 0x80 && text[2] >= 0xaa && text[2] <= 0xae) ||
           (text[1] == 0x81 && text[2] >= 0xa6 && text[2] <= 0xa9);
}

/* How many bytes the text begins with that are shown as they are, a character; 0 when the first byte is escaped. */
static size_t plain_size(const unsigned char *text, size_t left)
{
    unsigned char first = text[0];
    size_t size;

    if (first < 0x80)
        return first >= 0x20 && first != 0x7f && first != '\\';
    size = lp_text_character(text, left);
    return drives_terminal(text, size) ? 0 : size;
}

static char escape_letter(char byte)
{
    switch (byte) {
    case '\n':
        return 'n';
    case '\t':
        return 't';
    case '\r':
        return 'r';
    case '\\':
        return '\\';
    default:
        return '\0';
    }
}

size_t lp_text_escaped_length(const char *text, size_t length)
{
    size_t sum = 0;

    for (size_t i = 0; i < length;) {
        size_t plain = plain_size((const unsigned char *)text + i, length - i);

        sum += plain ? plain : escape_letter(text[i]) ? 2 : 4;
        i += plain ? plain : 1;
    }
    return sum;
}

static char *escape_byte(char byte, char *out)
{
    static const char digits[] = "0123456789abcdef";
    char letter = escape_letter(byte);

    *out++ = '\\';
    if (letter) {
        *out++ = letter;
        return out;
    }
    *out++ = 'x';
    *out++ = digits[(unsigned char)byte >> 4];
    *out++ = digits[byte & 15];
    return out;
}

void lp_text_escape(const char *text, size_t length, char *out)
{
    for (size_t i = 0; i < length;) {
        size_t plain = plain_size((const unsigned char *)text + i, length - i);

        if (plain) {
            memcpy(out, text + i, plain);
            out += plain;
            i += plain;
        } else {
            out = escape_byte(text[i++], out);
        }
    }
}

static int64_t now(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

int64_t lp_time_monotonic(void)
{
    return now(CLOCK_MONOTONIC);
}

int64_t lp_time_offset(void)
{
    return now(CLOCK_REALTIME) - now(CLOCK_MONOTONIC);
}

void lp_time_sleep(int milliseconds)
{
    (void)fflush(stdout);
    (void)poll(NULL, 0, milliseconds);
}
