/*
 * btf_check.c: whether an object's BTF holds together, before libbpf and the type maker see it.
 *
 * libbpf trusts what it reads: up to 1.3 at least, a type number out of range or a typedef of itself makes it crash or
 * hang. A damaged file shall be refused instead, so every number in .BTF and .BTF.ext is looked at here, once.
 */
#include <elf.h>
#include <errno.h>
#include <linux/btf.h>
#include <stdlib.h>
#include <string.h>

#include "btf.h"
#include "btf_check.h"
#include "error.h"

struct span {
    const char *data;
    size_t size;
};

struct check {
    struct span strings;
    const struct btf_type **types; /* by number; 0 is void */
    uint32_t count;
    uint8_t *state; /* of the search for types that hold themselves */
};

enum { MAX_DEPTH = 64 };

/* ---- ELF ------------------------------------------------------------------------------------------------------ */

static bool inside(struct span whole, uint64_t offset, uint64_t size)
{
    return offset <= whole.size && size <= whole.size - offset;
}

static bool section_at(struct span elf, const Elf64_Ehdr *header, uint32_t i, Elf64_Shdr *out)
{
    uint64_t offset = header->e_shoff + (uint64_t)i * header->e_shentsize;

    if (header->e_shentsize < sizeof(*out) || !inside(elf, offset, sizeof(*out)))
        return false;
    memcpy(out, elf.data + offset, sizeof(*out));
    return out->sh_type == SHT_NOBITS || inside(elf, out->sh_offset, out->sh_size);
}

/* The contents of the section of that name; empty when there is none. */
static struct span find_section(struct span elf, const char *name)
{
    Elf64_Ehdr header;
    Elf64_Shdr names;
    Elf64_Shdr section;
    size_t length = strlen(name) + 1;

    memcpy(&header, elf.data, sizeof(header));
    if (!section_at(elf, &header, header.e_shstrndx, &names))
        return (struct span){NULL, 0};
    for (uint32_t i = 0; i < header.e_shnum; i++) {
        if (section_at(elf, &header, i, &section) && section.sh_type != SHT_NOBITS &&
            inside(elf, names.sh_offset + section.sh_name, length) &&
            memcmp(elf.data + names.sh_offset + section.sh_name, name, length) == 0)
            return (struct span){elf.data + section.sh_offset, section.sh_size};
    }
    return (struct span){NULL, 0};
}

/* ---- .BTF ----------------------------------------------------------------------------------------------------- */

/* The strings end in a NUL, so one that begins inside ends inside. */
static bool is_string(const struct check *check, uint32_t offset)
{
    return offset < check->strings.size;
}

static bool is_type(const struct check *check, uint32_t id)
{
    return id <= check->count;
}

/* Types refer to each other in both directions, so they are listed first. */
static bool list_types(struct check *check, struct span section)
{
    size_t most = section.size / sizeof(struct btf_type);

    check->types = calloc(most + 1, sizeof(const struct btf_type *));
    check->state = calloc(most + 1, 1);
    if (!check->types || !check->state)
        return false;
    for (size_t offset = 0; offset < section.size;) {
        const struct btf_type *type = (const void *)(section.data + offset);
        size_t size = inside(section, offset, sizeof(*type)) ? lp_btf_type_bytes(type) : 0;

        if (size == 0 || !inside(section, offset, size))
            return false;
        check->types[++check->count] = type;
        offset += size;
    }
    return true;
}

/* Members, parameters, variables: `stride` words each, the name in word `name` or -1, the type in word `type`. */
static bool check_list(const struct check *check, const struct btf_type *type, int stride, int name, int id)
{
    const uint32_t *words = (const void *)(type + 1);

    for (uint32_t i = 0; i < BTF_INFO_VLEN(type->info); i++, words += stride) {
        if ((name >= 0 && !is_string(check, words[name])) || (id >= 0 && !is_type(check, words[id])))
            return false;
    }
    return true;
}

static bool check_type(const struct check *check, const struct btf_type *type)
{
    const struct btf_array *array = (const void *)(type + 1);

    if (!is_string(check, type->name_off))
        return false;
    switch (BTF_INFO_KIND(type->info)) {
    case BTF_KIND_ARRAY:
        return is_type(check, array->type) && is_type(check, array->index_type);
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
        return check_list(check, type, 3, 0, 1);
    case BTF_KIND_DATASEC:
        return check_list(check, type, 3, -1, 0);
    case BTF_KIND_ENUM:
        return check_list(check, type, 2, 0, -1);
    case BTF_KIND_ENUM64:
        return check_list(check, type, 3, 0, -1);
    case BTF_KIND_FUNC_PROTO:
        return is_type(check, type->type) && check_list(check, type, 2, 0, 1);
    case BTF_KIND_INT:
    case BTF_KIND_FWD:
    case BTF_KIND_FLOAT:
        return true;
    default:
        return is_type(check, type->type);
    }
}

/* Whether a type that holds others by value comes to an end: none may hold itself. Pointers and functions do end it. */
static bool is_finite(struct check *check, uint32_t id, int depth)
{
    enum { UNSEEN, UNDER_WAY, FINITE };
    const struct btf_type *type = check->types[id];
    const struct btf_member *members = (const void *)(type + 1);
    bool finite = true;

    if (id == 0 || check->state[id] == FINITE)
        return true;
    if (check->state[id] == UNDER_WAY || depth > MAX_DEPTH)
        return false;
    check->state[id] = UNDER_WAY;
    switch (BTF_INFO_KIND(type->info)) {
    case BTF_KIND_TYPEDEF:
    case BTF_KIND_VOLATILE:
    case BTF_KIND_CONST:
    case BTF_KIND_RESTRICT:
    case BTF_KIND_TYPE_TAG:
        finite = is_finite(check, type->type, depth + 1);
        break;
    case BTF_KIND_ARRAY:
        finite = is_finite(check, ((const struct btf_array *)(type + 1))->type, depth + 1);
        break;
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
        for (uint32_t i = 0; finite && i < BTF_INFO_VLEN(type->info); i++)
            finite = is_finite(check, members[i].type, depth + 1);
        break;
    }
    check->state[id] = FINITE;
    return finite;
}

static bool check_types(struct check *check, struct span types)
{
    if (!list_types(check, types))
        return false;
    for (uint32_t i = 1; i <= check->count; i++) {
        if (!check_type(check, check->types[i]))
            return false;
    }
    for (uint32_t i = 1; i <= check->count; i++) {
        if (!is_finite(check, i, 0))
            return false;
    }
    return true;
}

static bool check_btf(struct check *check, struct span section)
{
    struct btf_header header;
    struct span body;

    if (section.size < sizeof(header))
        return false;
    memcpy(&header, section.data, sizeof(header));
    if (header.magic != BTF_MAGIC || header.hdr_len < sizeof(header) || header.hdr_len > section.size)
        return false;
    body = (struct span){section.data + header.hdr_len, section.size - header.hdr_len};
    if (!inside(body, header.type_off, header.type_len) || !inside(body, header.str_off, header.str_len) ||
        header.type_off % 4 != 0 || header.str_len == 0 || body.data[header.str_off + header.str_len - 1] != '\0')
        return false;
    check->strings = (struct span){body.data + header.str_off, header.str_len};
    return check_types(check, (struct span){body.data + header.type_off, header.type_len});
}

/* ---- .BTF.ext: what the instructions refer to ----------------------------------------------------------------- */

/* Each part: the size of a record, then per section its name, the number of records, and these. */
static bool check_records(const struct check *check, struct span part, int type_word, int string_word)
{
    uint32_t size;
    size_t offset = 4;

    if (part.size == 0)
        return true;
    if (part.size < 4)
        return false;
    memcpy(&size, part.data, 4);
    if (size < 8 || size > part.size || size % 4 != 0)
        return false;
    while (offset < part.size) {
        const uint32_t *head = (const void *)(part.data + offset);

        if (!inside(part, offset, 8) || !is_string(check, head[0]) ||
            !inside(part, offset + 8, (uint64_t)head[1] * size))
            return false;
        for (uint32_t i = 0; i < head[1]; i++) {
            const uint32_t *record = (const void *)(part.data + offset + 8 + (size_t)i * size);

            if ((type_word >= 0 && !is_type(check, record[type_word])) ||
                (string_word >= 0 && !is_string(check, record[string_word])))
                return false;
        }
        offset += 8 + (size_t)head[1] * size;
    }
    return true;
}

/* The header: magic, version, flags, length, then offset and length of func_info, line_info and CO-RE relocations. */
static bool check_ext(const struct check *check, struct span section)
{
    uint32_t words[8] = {0};
    uint32_t length;
    struct span body;
    static const struct {
        int word, type_word, string_word;
    } parts[] = {{2, 1, -1}, {4, -1, 1}, {6, 1, 2}};

    if (section.size < 24)
        return false;
    memcpy(&length, section.data + 4, 4);
    if (length < 24 || length > section.size || length % 4 != 0)
        return false;
    memcpy(words, section.data, length < sizeof(words) ? length : sizeof(words));
    body = (struct span){section.data + length, section.size - length};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        uint32_t offset = words[parts[i].word];
        uint32_t size = words[parts[i].word + 1];

        if (!inside(body, offset, size) || offset % 4 != 0 ||
            !check_records(check, (struct span){body.data + offset, size}, parts[i].type_word, parts[i].string_word))
            return false;
    }
    return true;
}

/* A copy that words can be read from: the file need not be aligned. */
static struct span aligned(struct span section)
{
    char *copy = malloc(section.size + 1);

    if (copy && section.size > 0)
        memcpy(copy, section.data, section.size);
    return (struct span){copy, section.size};
}

/* Frees what the check made and the copies it looked at, and tells the result. */
static int finish(struct check *check, struct span btf, struct span ext, const char *name, bool good)
{
    free(check->types);
    free(check->state);
    free((void *)btf.data);
    free((void *)ext.data);
    if (good)
        return 0;
    lp_error_set(EINVAL, "open", "%s: damaged: its type information (BTF) contradicts itself", name);
    lp_error_hint("copy or build it again");
    return -EINVAL;
}

int lp_btf_check(const char *object, const void *data, size_t size)
{
    struct span elf = {data, size};
    struct span btf = aligned(find_section(elf, ".BTF"));
    struct span ext = aligned(find_section(elf, ".BTF.ext"));
    struct check check = {0};
    bool good = btf.data && ext.data;

    /* Without any the object is libbpf's to refuse or to take. */
    if (good && btf.size > 0)
        good = check_btf(&check, btf) && (ext.size == 0 || check_ext(&check, ext));
    return finish(&check, btf, ext, object, good);
}

int lp_btf_check_file(const char *path, const void *data, size_t size)
{
    struct span none = {NULL, 0};
    struct check check = {0};
    struct span raw;

    if (size >= sizeof(Elf64_Ehdr) && memcmp(data, ELFMAG, SELFMAG) == 0)
        return lp_btf_check(path, data, size);
    raw = aligned((struct span){data, size});
    return finish(&check, raw, none, path, raw.data && check_btf(&check, raw));
}
