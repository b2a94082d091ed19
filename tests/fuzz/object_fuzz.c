/*
 * object_fuzz.c: libFuzzer on opening objects: any bytes are an object, of which everything can then be asked, or are
 * refused with a reason.
 *
 * Bytes changed anywhere mostly land where nobody looks. So the mutator knows what an ELF file is made of: it picks a
 * section (or the header, or the table of sections) and changes words of that.
 */
#include <elf.h>
#include <linux/btf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "luaprobe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

/* ---- what is asked of an object ------------------------------------------------------------------------------- */

static volatile size_t sink;

static void read_text(const char *text)
{
    sink += strlen(text);
}

/* Lua reads and writes a member where its type says, without another look at the type's size. */
static void check_member(const struct lp_btf *btf, const struct lp_type *holder, const struct lp_member *member)
{
    struct lp_type type;
    uint64_t bits = member->bit_size;

    if (bits == 0 && lp_btf_type(btf, member->type, &type))
        bits = (uint64_t)type.size * 8;
    if (member->bit_offset + bits > (uint64_t)holder->size * 8)
        abort();
}

static void read_type(struct lp_btf *btf, uint32_t id)
{
    char declaration[1024];
    struct lp_type type;
    struct lp_member member;
    struct lp_enumerator enumerator;

    if (!lp_btf_type(btf, id, &type))
        return;
    read_text(type.name);
    lp_btf_find(btf, type.kind, type.name);
    lp_btf_declaration(btf, id, "name", declaration, sizeof(declaration));
    for (uint32_t i = 0; lp_btf_member(btf, id, i, &member); i++) {
        read_text(member.name);
        if (type.kind == BTF_KIND_STRUCT || type.kind == BTF_KIND_UNION) /* the parameters of functions have no place */
            check_member(btf, &type, &member);
    }
    for (uint32_t i = 0; lp_btf_enumerator(btf, id, i, &enumerator); i++)
        read_text(enumerator.name);
}

/* Lua reads and writes a variable where its section says, without another look at the map's size. */
static void check_globals(struct lp_btf *btf, const struct lp_map *map)
{
    struct lp_type section, type;
    struct lp_member variable;
    uint32_t id = lp_btf_find(btf, BTF_KIND_DATASEC, map->datasec);

    if (map->globals_size > 0) /* the pages between are as good, and may be many */
        sink += ((const uint8_t *)map->globals)[0] + ((const uint8_t *)map->globals)[map->globals_size - 1];
    if (id == 0 || !lp_btf_type(btf, id, &section))
        return;
    for (uint32_t i = 0; lp_btf_member(btf, id, i, &variable); i++) {
        if (lp_btf_type(btf, variable.type, &type) && variable.bit_offset / 8 + (uint64_t)type.size > map->globals_size)
            abort();
    }
}

static void ask_everything(struct lp_object *object)
{
    struct lp_program program;
    struct lp_map map;
    struct lp_btf *btf = lp_object_btf(object);

    for (int i = 0; lp_object_program(object, i, &program); i++) {
        read_text(program.name);
        read_text(program.section);
    }
    for (int i = 0; lp_object_map(object, i, &map); i++) {
        read_text(map.name);
        if (btf && map.datasec && map.globals)
            check_globals(btf, &map);
        if (lp_object_inner_map(object, i, &map))
            read_text(map.name);
    }
    for (uint32_t id = 0; btf && id <= lp_btf_count(btf) + 1; id++)
        read_type(btf, id);
    lp_btf_free(btf);
}

static void check_refusal(void)
{
    const struct lp_error *error = lp_error_last();

    if (error->code == 0 || !error->message[0])
        abort();
    for (const char *c = error->message; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 127)
            abort(); /* a terminal would act upon it */
    }
}

/* libbpf and libelf are not instrumented: what they read behind the object's end shall at least hit no mapped page. */
static uint8_t *place_before_guard(const uint8_t *data, size_t size, void **base, size_t *length)
{
    size_t page = (size_t)getpagesize();
    size_t room = (size + page - 1) / page * page;

    *length = room + page;
    *base = mmap(NULL, *length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (*base == MAP_FAILED || mprotect((char *)*base + room, page, PROT_NONE) != 0)
        abort();
    /* Aligned, as a Lua string is; libelf would copy what is not. */
    return memcpy((uint8_t *)*base + (room - size) / 8 * 8, data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *base;
    size_t length;
    uint8_t *copy = place_before_guard(data, size, &base, &length);
    struct lp_object *object = lp_object_open("fuzzed", copy, size, NULL);

    if (object) {
        ask_everything(object);
        lp_object_close(object);
    } else {
        check_refusal();
    }
    munmap(base, length);
    return 0;
}

/* ---- the mutator ---------------------------------------------------------------------------------------------- */

static uint64_t state;

static uint64_t draw(uint64_t below)
{
    state = state * 6364136223846793005U + 1442695040888963407U;
    return below ? (state >> 24) % below : 0;
}

struct region {
    size_t offset;
    size_t size;
};

static Elf64_Shdr section_at(const uint8_t *data, const Elf64_Ehdr *header, size_t i)
{
    Elf64_Shdr section;

    memcpy(&section, data + header->e_shoff + i * sizeof(section), sizeof(section));
    return section;
}

/* The header, the table of sections, one entry of it, or the contents of a section; of size 0 when there is none. */
static struct region pick_region(const uint8_t *data, size_t size)
{
    Elf64_Ehdr header;
    Elf64_Shdr section;
    size_t i;

    if (size < sizeof(header))
        return (struct region){0, size};
    memcpy(&header, data, sizeof(header));
    if (draw(16) == 0)
        return (struct region){0, sizeof(header)};
    if (header.e_shoff > size || header.e_shnum == 0 || header.e_shnum * sizeof(section) > size - header.e_shoff)
        return (struct region){0, size};
    i = draw(header.e_shnum);
    if (draw(6) == 0)
        return (struct region){header.e_shoff + i * sizeof(section), sizeof(section)};
    section = section_at(data, &header, i);
    if (section.sh_type == SHT_NOBITS || section.sh_offset > size || section.sh_size > size - section.sh_offset)
        return (struct region){0, 0};
    return (struct region){section.sh_offset, section.sh_size};
}

/* A value that is likely to be on an edge of something. */
static uint64_t pick_value(const uint8_t *data, struct region region, uint64_t old, size_t width)
{
    static const uint64_t edges[] = {0,      1,          2,          3,          0xff,           0x7fffffff,
                                     0xffff, 0x80000000, 0xffffffff, 0xfffffff0, ~UINT64_C(0),   UINT64_C(1) << 63,
                                     0xfff1, 0xfff2,     0xff00,     0x1000000,  0xfffffffffff0, 0x80000000000000};
    uint64_t value = 0;

    switch (draw(6)) {
    case 0:
        return edges[draw(sizeof(edges) / sizeof(edges[0]))];
    case 1: /* what another word says: so types, names and symbols are exchanged for others that there are */
        memcpy(&value, data + region.offset + draw(region.size / width) * width, width);
        return value;
    case 2:
        return old ^ UINT64_C(1) << draw(8 * width);
    case 3:
        return draw(256);
    case 4:
        return draw(region.size + 16);
    default:
        return old + draw(17) - 8;
    }
}

/* Most words have 4 bytes, those of symbols and sections also 8 and 2. */
static void change_word(uint8_t *data, struct region region)
{
    static const size_t widths[] = {4, 4, 4, 4, 8, 8, 2, 1};
    size_t width = widths[draw(sizeof(widths) / sizeof(widths[0]))];
    uint64_t value = 0;
    uint8_t *word;

    if (region.size < width)
        return;
    word = data + region.offset + draw(region.size / width) * width;
    memcpy(&value, word, width);
    value = pick_value(data, region, value, width);
    memcpy(word, &value, width);
}

/* One record over another: a symbol, a relocation, a section's entry, a few instructions. */
static void copy_record(uint8_t *data, struct region region)
{
    static const size_t widths[] = {8, 12, 16, 24, 64};
    size_t width = widths[draw(sizeof(widths) / sizeof(widths[0]))];
    size_t records = region.size / width;

    if (records > 1)
        memmove(data + region.offset + draw(records) * width, data + region.offset + draw(records) * width, width);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed)
{
    size_t changes;

    state = seed;
    if (draw(16) == 0)
        return LLVMFuzzerMutate(data, size, most);
    changes = 1 + draw(4);
    for (size_t i = 0; i < changes; i++) {
        struct region region = pick_region(data, size);

        if (draw(8) == 0)
            copy_record(data, region);
        else
            change_word(data, region);
    }
    return size;
}
