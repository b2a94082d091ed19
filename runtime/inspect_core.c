/* inspect_core.c: the CO-RE relocations of an object: which types and fields of the kernel it relies on. */
#include <string.h>

#include "btf.h"
#include "inspect.h"

/* struct btf_ext_header of libbpf, which does not export it. */
struct ext_header {
    uint16_t magic;
    uint8_t version, flags;
    uint32_t length;
    uint32_t functions_offset, functions_size;
    uint32_t lines_offset, lines_size;
    uint32_t core_offset, core_size;
};

/* struct bpf_core_relo */
struct relocation {
    uint32_t instruction, type, access, kind;
};

static const Elf_Data *find_ext(const struct lp_inspect *inspect)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;

    while ((section = elf_nextscn(inspect->elf, section))) {
        const char *name = lp_inspect_section_name(inspect, section, &header);

        if (name && strcmp(name, ".BTF.ext") == 0)
            return elf_getdata(section, NULL);
    }
    return NULL;
}

/* The part of the section that holds relocations: begins with the size of a record. */
static const char *find_part(const Elf_Data *data, size_t *size)
{
    struct ext_header header;

    if (!data || !data->d_buf || data->d_size < sizeof(header))
        return NULL;
    memcpy(&header, data->d_buf, sizeof(header));
    if (header.length < sizeof(header) || header.length > data->d_size ||
        header.core_offset > data->d_size - header.length ||
        header.core_size > data->d_size - header.length - header.core_offset || header.core_size < 4)
        return NULL;
    *size = header.core_size;
    return (const char *)data->d_buf + header.length + header.core_offset;
}

bool lp_inspect_core(const struct lp_inspect *inspect, const struct lp_btf *btf, uint32_t i, struct lp_core *out)
{
    size_t size = 0;
    const char *part = find_part(find_ext(inspect), &size);
    uint32_t record;

    if (!part)
        return false;
    memcpy(&record, part, sizeof(record));
    if (record < sizeof(struct relocation))
        return false;
    for (size_t at = 4; at + 8 <= size;) {
        uint32_t head[2]; /* the section's name, the number of its records */
        uint64_t records_size;

        memcpy(head, part + at, sizeof(head));
        at += sizeof(head);
        records_size = (uint64_t)head[1] * record;
        if (records_size > size - at)
            return false;
        if (i < head[1]) {
            struct relocation found;

            memcpy(&found, part + at + (size_t)i * record, sizeof(found));
            out->section = lp_btf_name_at(btf, head[0]);
            out->access = lp_btf_name_at(btf, found.access);
            out->type = found.type;
            out->kind = found.kind;
            return out->section && out->access;
        }
        i -= head[1];
        at += (size_t)records_size;
    }
    return false;
}
