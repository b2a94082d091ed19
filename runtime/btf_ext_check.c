/*
 * btf_ext_check.c: whether what an object tells of its instructions (.BTF.ext) holds together: the functions that they
 * are of, their lines in the source, and what is to be adapted to the kernel (CO-RE).
 */
#include "btf_ext_check.h"

#include <string.h>

struct known {
    uint32_t types; /* the number of the last one */
    size_t strings; /* their bytes; one that begins in there ends in there */
};

/* What a record has at least, and which of its words are a type and a string; 0: none, the first word is an offset. */
struct record {
    uint32_t size;
    uint32_t type;
    uint32_t string;
};

static bool check_record(const struct known *known, const struct record *kind, const uint32_t *words)
{
    return (kind->type == 0 || words[kind->type] <= known->types) &&
           (kind->string == 0 || words[kind->string] < known->strings);
}

/* Each part: the size of a record, then per section its name, the number of records, and these. */
static bool check_records(const struct known *known, struct lp_span part, const struct record *kind)
{
    uint32_t size;
    size_t offset = 4;

    if (part.size == 0)
        return true;
    if (part.size < 4)
        return false;
    memcpy(&size, part.data, 4);
    if (size < kind->size || size > part.size || size % 4 != 0)
        return false;
    while (offset < part.size) {
        const uint32_t *head = (const void *)(part.data + offset);

        if (!lp_span_holds(part, offset, 8) || head[0] >= known->strings ||
            !lp_span_holds(part, offset + 8, (uint64_t)head[1] * size))
            return false;
        for (uint32_t i = 0; i < head[1]; i++) {
            if (!check_record(known, kind, (const void *)(part.data + offset + 8 + (size_t)i * size)))
                return false;
        }
        offset += 8 + (size_t)head[1] * size;
    }
    return true;
}

/* The header: magic, version, flags, length, then offset and length of each part. */
static bool check_ext(const struct known *known, struct lp_span section)
{
    /* func_info, line_info and CO-RE relocations, as <linux/btf.h> and libbpf have them */
    static const struct record kinds[] = {{8, 1, 0}, {16, 0, 1}, {16, 1, 2}};
    uint32_t words[8] = {0};
    uint32_t length;
    struct lp_span body;

    if (section.size < 24)
        return false;
    memcpy(&length, section.data + 4, 4);
    if (length < 24 || length > section.size || length % 4 != 0)
        return false;
    memcpy(words, section.data, length < sizeof(words) ? length : sizeof(words));
    body = (struct lp_span){section.data + length, section.size - length};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        uint32_t offset = words[2 + i * 2];
        uint32_t size = words[3 + i * 2];

        if (!lp_span_holds(body, offset, size) || offset % 4 != 0 ||
            !check_records(known, (struct lp_span){body.data + offset, size}, &kinds[i]))
            return false;
    }
    return true;
}

bool lp_btf_ext_check(struct lp_span section, uint32_t types, size_t strings)
{
    struct known known = {types, strings};

    return section.size == 0 || check_ext(&known, section);
}
