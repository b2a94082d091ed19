/* text.c: text that comes from traced processes, and the clocks. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "luaprobe.h"

size_t lp_text_length(const char *text, size_t size)
{
    return strnlen(text, size);
}

/* Bytes of 0x80 and above are left alone: they are UTF-8 in all but hostile names, and no terminal obeys them there. */
static size_t escaped_size(unsigned char byte)
{
    if (byte == '\n' || byte == '\t' || byte == '\r' || byte == '\\')
        return 2;
    return byte < 0x20 || byte == 0x7f ? 4 : 1;
}

size_t lp_text_escaped_length(const char *text, size_t length)
{
    size_t sum = 0;

    for (size_t i = 0; i < length; i++)
        sum += escaped_size((unsigned char)text[i]);
    return sum;
}

static char escape_letter(char byte)
{
    return byte == '\n' ? 'n' : byte == '\t' ? 't' : byte == '\r' ? 'r' : '\\';
}

void lp_text_escape(const char *text, size_t length, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];

        switch (escaped_size(byte)) {
        case 1:
            *out++ = text[i];
            break;
        case 2:
            *out++ = '\\';
            *out++ = escape_letter(text[i]);
            break;
        default:
            *out++ = '\\';
            *out++ = 'x';
            *out++ = digits[byte >> 4];
            *out++ = digits[byte & 15];
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
