/* prefix.c: the keys of LPM tries as people write them: "10.0.0.0/8", "2001:db8::/32". */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

static int family_of(size_t size)
{
    return size == 4 ? AF_INET : AF_INET6;
}

static int refuse(const char *text, size_t size)
{
    lp_error_set(EINVAL, "map", "'%s' is not an IPv%d network", text, size == 4 ? 4 : 6);
    lp_error_hint("write it like %s", size == 4 ? "10.0.0.0/8" : "2001:db8::/32");
    return -EINVAL;
}

/* Bits behind the prefix mean nothing, and would make two keys of the same network. */
static void clear_rest(uint8_t *address, size_t size, uint32_t bits)
{
    for (size_t i = 0; i<size; i++, bits = bits> 8 ? bits - 8 : 0) {
        if (bits < 8)
            address[i] &= (uint8_t)(0xff00 >> bits);
    }
}

int lp_prefix_parse(const char *text, uint8_t *address, size_t size, uint32_t *bits)
{
    char host[64];
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    unsigned long number = size * 8;
    char *end;

    if (length >= sizeof(host))
        return refuse(text, size);
    memcpy(host, text, length);
    host[length] = '\0';
    if (slash) {
        number = strtoul(slash + 1, &end, 10);
        if (slash[1] < '0' || slash[1] > '9' || *end != '\0' || number > size * 8)
            return refuse(text, size);
    }
    if (inet_pton(family_of(size), host, address) != 1)
        return refuse(text, size);
    *bits = (uint32_t)number;
    clear_rest(address, size, *bits);
    return 0;
}

void lp_prefix_format(const uint8_t *address, size_t size, uint32_t bits, char *out, size_t out_size)
{
    char host[64] = "";

    (void)inet_ntop(family_of(size), address, host, sizeof(host));
    snprintf(out, out_size, "%s/%u", host, bits);
}
