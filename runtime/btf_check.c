/*
 * btf_check.c: whether an object's BTF holds together, before libbpf and the type maker see it.
 *
 * libbpf trusts what it reads: up to 1.3 at least, a type number out of range or a typedef of itself makes it crash or
 * hang. A damaged file shall be refused instead, so every number in .BTF is looked at here, once; those
 * in .BTF.ext in btf_ext_check.c.
 */
#include <elf.h>
#include <errno.h>
#include <linux/btf.h>
#include <stdlib.h>
#include <string.h>

#include "btf.h"
#include "btf_check.h"
#include "btf_ext_check.h"
#include "elf_check.h"
#include "error.h"

struct check {
    struct lp_span strings;
    const struct btf_type **types; /* by number; 0 is void */
    uint32_t count;
    uint8_t *state; /* of the search for types that hold themselves */
};

enum { MAX_DEPTH = 64 };

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
static bool list_types(struct check *check, struct lp_span section)
{
    size_t most = section.size / sizeof(struct btf_type);

    check->types = calloc(most + 1, sizeof(const struct btf_type *));
    check->state = calloc(most + 1, 1);
    if (!check->types || !check->state)
        return false;
    for (size_t offset = 0; offset < section.size;) {
        const struct btf_type *type = (const void *)(section.data + offset);
        size_t size = lp_span_holds(section, offset, sizeof(*type)) ? lp_btf_type_bytes(type) : 0;

        if (size == 0 || !lp_span_holds(section, offset, size))
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

static bool is_kind(const struct check *check, uint32_t id, uint32_t kind)
{
    return id > 0 && is_type(check, id) && BTF_INFO_KIND(check->types[id]->info) == kind;
}

/* A data section holds variables, and one of externs functions too; libbpf takes each entry for one or the other. */
static bool check_datasec(const struct check *check, const struct btf_type *type)
{
    const struct btf_var_secinfo *entries = (const void *)(type + 1);

    for (uint32_t i = 0; i < BTF_INFO_VLEN(type->info); i++) {
        if (entries[i].offset > INT32_MAX ||
            !(is_kind(check, entries[i].type, BTF_KIND_VAR) || is_kind(check, entries[i].type, BTF_KIND_FUNC)))
            return false;
    }
    return true;
}

/* libbpf adds sizes and offsets in 32 bits: with half of what these hold, no sum overflows. */
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
        return type->size <= INT32_MAX && check_list(check, type, 3, 0, 1);
    case BTF_KIND_DATASEC:
        return check_datasec(check, type);
    case BTF_KIND_FUNC:
        return is_kind(check, type->type, BTF_KIND_FUNC_PROTO);
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
    const struct btf_member *members;
    bool finite = true;

    if (id == 0 || check->state[id] == FINITE)
        return true;
    if (check->state[id] == UNDER_WAY || depth > MAX_DEPTH)
        return false;
    check->state[id] = UNDER_WAY;
    members = (const void *)(type + 1);
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

/* The bytes of a type whose end is known to come, as far as 64 bits hold them. */
static uint64_t size_of(const struct check *check, uint32_t id)
{
    uint64_t elements = 1;

    while (id != 0) {
        const struct btf_type *type = check->types[id];
        uint64_t size = 0;

        switch (BTF_INFO_KIND(type->info)) {
        case BTF_KIND_ARRAY:
            id = ((const struct btf_array *)(type + 1))->type;
            size = ((const struct btf_array *)(type + 1))->nelems;
            break;
        case BTF_KIND_TYPEDEF:
        case BTF_KIND_VOLATILE:
        case BTF_KIND_CONST:
        case BTF_KIND_RESTRICT:
        case BTF_KIND_TYPE_TAG:
            id = type->type;
            continue;
        case BTF_KIND_INT:
        case BTF_KIND_FLOAT:
        case BTF_KIND_ENUM:
        case BTF_KIND_ENUM64:
        case BTF_KIND_STRUCT:
        case BTF_KIND_UNION:
            id = 0;
            size = type->size;
            break;
        default: /* a pointer, or what has no size */
            id = 0;
            size = 8;
            break;
        }
        if (__builtin_mul_overflow(elements, size, &elements))
            return UINT64_MAX;
    }
    return elements;
}

/* libbpf takes the size of an extern for a number of 31 bits and, when it is negative, for an error of its own. */
static bool check_size(const struct check *check, const struct btf_type *type)
{
    return BTF_INFO_KIND(type->info) != BTF_KIND_VAR || size_of(check, type->type) <= INT32_MAX;
}

static bool check_types(struct check *check, struct lp_span types)
{
    if (!list_types(check, types))
        return false;
    for (uint32_t i = 1; i <= check->count; i++) {
        if (!check_type(check, check->types[i]))
            return false;
    }
    for (uint32_t i = 1; i <= check->count; i++) {
        if (!is_finite(check, i, 0) || !check_size(check, check->types[i]))
            return false;
    }
    return true;
}

static bool check_btf(struct check *check, struct lp_span section)
{
    struct btf_header header;
    struct lp_span body;

    if (section.size < sizeof(header))
        return false;
    memcpy(&header, section.data, sizeof(header));
    if (header.magic != BTF_MAGIC || header.hdr_len < sizeof(header) || header.hdr_len > section.size ||
        header.hdr_len % 4 != 0)
        return false;
    body = (struct lp_span){section.data + header.hdr_len, section.size - header.hdr_len};
    if (!lp_span_holds(body, header.type_off, header.type_len) ||
        !lp_span_holds(body, header.str_off, header.str_len) || header.type_off % 4 != 0 || header.str_len == 0 ||
        body.data[header.str_off + header.str_len - 1] != '\0')
        return false;
    check->strings = (struct lp_span){body.data + header.str_off, header.str_len};
    return check_types(check, (struct lp_span){body.data + header.type_off, header.type_len});
}

/* ---- the sections of an object, or a file ------------------------------------------------------------------------ */

/* A copy that words can be read from: the file need not be aligned. */
static struct lp_span aligned(struct lp_span section)
{
    char *copy = malloc(section.size + 1);

    if (copy && section.size > 0)
        memcpy(copy, section.data, section.size);
    return (struct lp_span){copy, section.size};
}

/* Frees what the check made and the copies it looked at, and tells the result. */
static int finish(struct check *check, struct lp_span btf, struct lp_span ext, const char *name, bool good)
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
    struct lp_span elf = {data, size};
    struct lp_span btf = aligned(lp_elf_section(elf, ".BTF"));
    struct lp_span ext = aligned(lp_elf_section(elf, ".BTF.ext"));
    struct check check = {0};
    bool good = btf.data && ext.data;

    /* Without any the object is libbpf's to refuse or to take. */
    if (good && btf.size > 0)
        good = check_btf(&check, btf) && lp_btf_ext_check(ext, check.count, check.strings.size);
    return finish(&check, btf, ext, object, good);
}

int lp_btf_check_file(const char *path, const void *data, size_t size)
{
    struct lp_span none = {NULL, 0};
    struct check check = {0};
    struct lp_span raw;

    if (size >= sizeof(Elf64_Ehdr) && memcmp(data, ELFMAG, SELFMAG) == 0)
        return lp_btf_check(path, data, size);
    raw = aligned((struct lp_span){data, size});
    return finish(&check, raw, none, path, raw.data && check_btf(&check, raw));
}
