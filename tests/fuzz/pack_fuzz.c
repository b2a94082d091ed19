/*
 * pack_fuzz.c: libFuzzer on the trailer of packed scripts: any text is read or refused with a reason, within its
 * bounds.
 *
 * The first byte says whether the input is a whole file, or the inside of a trailer whose marks and hash are right, so
 * that the hash does not keep the fuzzer from what is behind it. In the latter case a "sha256" line's value of 64 '0'
 * is not filled in: extracting then decompresses everything and refuses it for its hash, unless the corpus has a right
 * one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "luaprobe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OBJECT_LIMIT = 16 << 20 };

static void check_refusal(void)
{
    const struct lp_error *error = lp_error_last();

    if (error->code == 0 || !error->hint || !error->message[0])
        abort();
    for (const char *c = error->message; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 127)
            abort(); /* a terminal would act upon it */
    }
}

static void check_object(const struct lp_pack *pack, uint32_t i, const struct lp_packed *packed)
{
    struct lp_bytes bytes;
    char hash[65];

    if (packed->size > OBJECT_LIMIT || strlen(packed->sha256) != 64 || !packed->name[0] || strchr(packed->name, '/'))
        abort();
    if (lp_pack_extract(pack, i, &bytes) != 0) {
        check_refusal();
        return;
    }
    lp_sha256(bytes.data, bytes.size, hash);
    if (bytes.size != packed->size || strcmp(hash, packed->sha256) != 0)
        abort();
    lp_bytes_free(&bytes);
}

static void open_text(const char *text, size_t size)
{
    int64_t at = lp_pack_find("fuzz", text, size);
    struct lp_pack *pack;
    struct lp_packed packed;

    if (at > (int64_t)size)
        abort();
    if (at == (int64_t)size)
        return;
    pack = lp_pack_open("fuzz", text, size);
    if (!pack) {
        check_refusal();
        return;
    }
    if (lp_pack_script_size(pack) > (size_t)at)
        abort();
    for (uint32_t i = 0; lp_pack_object(pack, i, &packed); i++)
        check_object(pack, i, &packed);
    lp_pack_close(pack);
}

/* The input as the inside of a trailer. */
static void open_inside(const uint8_t *data, size_t size)
{
    static const char begin[] = "--[==[luaprobe-pack 1\n-- note\nscript as-is\n";
    static const char end[] = "]==]--luaprobe-pack-end ";
    size_t length = strlen(begin) + size + 1;
    char *text = malloc(length + strlen(end) + 65);
    char hash[65];

    memcpy(text, begin, strlen(begin));
    memcpy(text + strlen(begin), data, size);
    text[length - 1] = '\n';
    lp_sha256(text, length, hash);
    memcpy(text + length, end, strlen(end));
    memcpy(text + length + strlen(end), hash, 65);
    open_text(text, length + strlen(end) + 64);
    free(text);
}

/* What is encoded comes back. */
static void round_trip(const uint8_t *data, size_t size)
{
    size_t length = lp_base64_length(size);
    char *text = malloc(length + 1);
    uint8_t *back = malloc(length + 1);

    lp_base64_encode(data, size, text);
    if (lp_base64_decode(text, length, back) != (ssize_t)size || (size && memcmp(back, data, size) != 0))
        abort();
    free(text);
    free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy;

    if (size == 0)
        return 0;
    round_trip(data, size);
    if (data[0] % 2) {
        open_inside(data + 1, size - 1);
        return 0;
    }
    copy = malloc(size); /* of exactly this size, so that reading behind it is seen */
    memcpy(copy, data + 1, size - 1);
    open_text(copy, size - 1);
    free(copy);
    return 0;
}
