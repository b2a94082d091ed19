/* digest.c: SHA-256, by libmd. */
#include <sha2.h>
#include <stdio.h>

#include "luaprobe.h"

void lp_sha256(const void *data, size_t size, char *out)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA2_CTX context;

    SHA256Init(&context);
    SHA256Update(&context, data, size);
    SHA256Final(digest, &context);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}
