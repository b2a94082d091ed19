/*
 * btf.c: types, as BTF describes them: the kernel's documentation (bpf/btf.rst) is the source of the encodings.
 *
 * Lua turns them into FFI types (lua/luaprobe/types.lua). Every function checks its ids, since BTF comes from files.
 * libbpf has a reader too, but copies what it reads and looks names up one by one: with vmlinux's 100,000 to 150,000
 * types that takes five times as long as this.
 */
#include "btf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ---- reading -------------------------------------------------------------------------------------------------- */

size_t lp_btf_type_bytes(const struct btf_type *type)
{
    size_t count = BTF_INFO_VLEN(type->info);

    switch (BTF_INFO_KIND(type->info)) {
    case BTF_KIND_INT:
    case BTF_KIND_VAR:
    case BTF_KIND_DECL_TAG:
        return sizeof(*type) + 4;
    case BTF_KIND_ARRAY:
        return sizeof(*type) + sizeof(struct btf_array);
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
    case BTF_KIND_DATASEC:
    case BTF_KIND_ENUM64:
        return sizeof(*type) + count * 12;
    case BTF_KIND_ENUM:
    case BTF_KIND_FUNC_PROTO:
        return sizeof(*type) + count * 8;
    case BTF_KIND_PTR:
    case BTF_KIND_FWD:
    case BTF_KIND_TYPEDEF:
    case BTF_KIND_VOLATILE:
    case BTF_KIND_CONST:
    case BTF_KIND_RESTRICT:
    case BTF_KIND_FUNC:
    case BTF_KIND_FLOAT:
    case BTF_KIND_TYPE_TAG:
        return sizeof(*type);
    default:
        return 0;
    }
}

/* A table of zeros, there at once: page by page it would cost more than filling it. NULL without memory. */
static uint32_t *new_table(size_t count)
{
    void *table =
        mmap(NULL, count * sizeof(uint32_t), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    return table == MAP_FAILED ? NULL : table;
}

static void free_table(uint32_t *table, size_t count)
{
    if (table)
        munmap(table, count * sizeof(uint32_t));
}

/* Lists where each type begins. Few are shorter than 20 bytes and many longer. */
static bool list_types(struct lp_btf *btf, size_t size)
{
    size_t offset = 0;
    uint32_t count = 0;

    btf->offsets_size = size / sizeof(struct btf_type) + 1;
    btf->offsets = new_table(btf->offsets_size);
    while (btf->offsets && offset + sizeof(struct btf_type) <= size) {
        size_t bytes = lp_btf_type_bytes((const void *)(btf->types + offset));

        if (bytes == 0 || bytes > size - offset)
            return false;
        btf->offsets[count++] = (uint32_t)offset;
        offset += bytes;
    }
    btf->end_id = btf->first_id + count;
    return btf->offsets && offset == size;
}

struct lp_btf *lp_btf_new(const void *data, size_t size, const struct lp_btf *base)
{
    const struct btf_header *header = data;
    struct lp_btf *btf = calloc(1, sizeof(*btf));
    const uint8_t *body;
    size_t room;

    if (!btf || size < sizeof(*header) || header->magic != BTF_MAGIC || header->hdr_len > size ||
        header->hdr_len % 4 != 0)
        goto fail;
    body = (const uint8_t *)data + header->hdr_len;
    room = size - header->hdr_len;
    if (header->type_off > room || header->type_len > room - header->type_off || header->str_off > room ||
        header->str_len > room - header->str_off || header->type_off % 4 != 0 || header->str_len == 0 ||
        body[header->str_off + header->str_len - 1] != '\0')
        goto fail;
    btf->base = base;
    btf->first_id = base ? base->end_id : 1;
    btf->first_string = base ? base->first_string + base->strings_size : 0;
    btf->types = body + header->type_off;
    btf->strings = (const char *)body + header->str_off;
    btf->strings_size = header->str_len;
    if (list_types(btf, header->type_len))
        return btf;

fail:
    lp_btf_free(btf);
    return NULL;
}

struct lp_btf *lp_btf_copy(const void *data, size_t size, const struct lp_btf *base)
{
    void *copy = malloc(size);
    struct lp_btf *btf = NULL;

    if (copy) {
        memcpy(copy, data, size);
        btf = lp_btf_new(copy, size, base);
    }
    if (btf)
        btf->memory = copy;
    else
        free(copy);
    return btf;
}

struct lp_btf *lp_btf_from_libbpf(struct btf *from, const struct lp_btf *base)
{
    uint32_t size;
    const void *data = btf__raw_data(from, &size);
    struct lp_btf *btf = data ? lp_btf_copy(data, size, base) : NULL;

    btf__free(from);
    return btf;
}

void lp_btf_free(struct lp_btf *btf)
{
    if (!btf)
        return;
    if (btf->memory_size)
        munmap(btf->memory, btf->memory_size);
    else
        free(btf->memory);
    free_table(btf->offsets, btf->offsets_size);
    free_table(btf->slots, (size_t)btf->slot_mask + 1);
    free(btf);
}

const struct btf_type *lp_btf_at(const struct lp_btf *btf, uint32_t id)
{
    static const struct btf_type nothing;

    if (id == 0)
        return &nothing;
    while (btf->base && id < btf->first_id)
        btf = btf->base;
    return id < btf->end_id ? (const void *)(btf->types + btf->offsets[id - btf->first_id]) : NULL;
}

const char *lp_btf_name_at(const struct lp_btf *btf, uint32_t offset)
{
    while (btf->base && offset < btf->first_string)
        btf = btf->base;
    return offset - btf->first_string < btf->strings_size ? btf->strings + (offset - btf->first_string) : "";
}

/* ---- looking up ----------------------------------------------------------------------------------------------- */

static uint64_t eight_bytes(const char *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof(word));
    return word;
}

/* Of the length and both ends: looking at each letter of 100,000 names would be most of an index's cost. */
static uint32_t hash(const char *name)
{
    size_t length = strlen(name);
    uint64_t value = length;

    if (length >= 8) {
        value += eight_bytes(name) * 0x9e3779b97f4a7c15 ^ eight_bytes(name + length - 8) * 0xc2b2ae3d27d4eb4f;
    } else {
        for (; *name; name++)
            value = (value ^ (uint8_t)*name) * 0x100000001b3;
    }
    value ^= value >> 32;
    return (uint32_t)(value * 0x9e3779b97f4a7c15 >> 32);
}

/* All that can be asked for by name; 64-bit enumerations under the kind of the others. 0 for the rest. */
static uint32_t kind_looked_up(const struct btf_type *type)
{
    if (type->name_off == 0)
        return 0;
    if (btf_is_any_enum(type))
        return BTF_KIND_ENUM;
    if (btf_is_composite(type) || btf_is_typedef(type) || btf_is_func(type) || btf_is_int(type) || btf_is_float(type) ||
        btf_is_datasec(type) || btf_is_var(type))
        return btf_kind(type);
    return 0;
}

static bool make_index(struct lp_btf *btf)
{
    uint32_t size = 64;

    while (size < 2 * (btf->end_id - btf->first_id))
        size *= 2;
    btf->slots = new_table(size);
    if (!btf->slots)
        return false;
    btf->slot_mask = size - 1;
    for (uint32_t id = btf->first_id; id < btf->end_id; id++) {
        const struct btf_type *type = lp_btf_at(btf, id);
        uint32_t slot;

        if (!kind_looked_up(type))
            continue;
        slot = hash(lp_btf_name_at(btf, type->name_off)) & btf->slot_mask;
        while (btf->slots[slot])
            slot = (slot + 1) & btf->slot_mask;
        btf->slots[slot] = id;
    }
    return true;
}

uint32_t lp_btf_find(struct lp_btf *btf, uint32_t kind, const char *name)
{
    if (!btf->slots && !make_index(btf))
        return 0;
    for (uint32_t slot = hash(name) & btf->slot_mask; btf->slots[slot]; slot = (slot + 1) & btf->slot_mask) {
        const struct btf_type *type = lp_btf_at(btf, btf->slots[slot]);

        if (kind_looked_up(type) == kind && strcmp(lp_btf_name_at(btf, type->name_off), name) == 0)
            return btf->slots[slot];
    }
    return 0;
}

/* ---- describing ----------------------------------------------------------------------------------------------- */

uint32_t lp_btf_count(const struct lp_btf *btf)
{
    return btf->end_id - 1;
}

/*
 * A type behind its typedefs and qualifiers, or NULL. Corrupt BTF can make these point at each other in a circle, so
 * the steps are bounded as libbpf bounds them.
 */
static const struct btf_type *skip_modifiers(const struct lp_btf *btf, uint32_t *id)
{
    for (int step = 0; step < 32; step++) {
        const struct btf_type *type = lp_btf_at(btf, *id);

        if (!type || !(btf_is_mod(type) || btf_is_typedef(type)))
            return type;
        *id = type->type;
    }
    return NULL;
}

/* In bytes; -1 when it cannot be known. */
static int64_t size_of(const struct lp_btf *btf, uint32_t id)
{
    uint64_t elements = 1;

    for (int step = 0; step < 32; step++) {
        const struct btf_type *type = skip_modifiers(btf, &id);

        if (!type)
            return -1;
        switch (btf_kind(type)) {
        case BTF_KIND_INT:
        case BTF_KIND_STRUCT:
        case BTF_KIND_UNION:
        case BTF_KIND_ENUM:
        case BTF_KIND_ENUM64:
        case BTF_KIND_FLOAT:
        case BTF_KIND_DATASEC:
            elements *= type->size;
            return elements > UINT32_MAX ? -1 : (int64_t)elements;
        case BTF_KIND_PTR:
            elements *= sizeof(void *);
            return elements > UINT32_MAX ? -1 : (int64_t)elements;
        case BTF_KIND_ARRAY:
            elements *= btf_array(type)->nelems;
            if (elements > UINT32_MAX)
                return -1;
            id = btf_array(type)->type;
            break;
        case BTF_KIND_VAR:
            id = type->type;
            break;
        default:
            return 0;
        }
    }
    return -1;
}

/*
 * The sign of an enumeration is in its kind flag since Linux 6.0 and clang 15. Older compilers leave the flag clear:
 * then a value that is a small number below zero is more likely than one just below 2^32.
 */
static bool enum_is_signed(const struct btf_type *type)
{
    if (btf_kflag(type) || btf_is_enum64(type))
        return btf_kflag(type);
    for (uint32_t i = 0; i < btf_vlen(type); i++) {
        if (btf_enum(type)[i].val < 0 && btf_enum(type)[i].val > -65536)
            return true;
    }
    return false;
}

bool lp_btf_type(const struct lp_btf *btf, uint32_t id, struct lp_type *out)
{
    const struct btf_type *type = skip_modifiers(btf, &id);
    int64_t size = size_of(btf, id);

    if (!type || size < 0)
        return false;
    *out = (struct lp_type){
        .id = id,
        .kind = btf_kind(type),
        .name = lp_btf_name_at(btf, type->name_off),
        .count = btf_vlen(type),
    };
    switch (out->kind) {
    case BTF_KIND_INT:
        out->encoding = btf_int_encoding(type);
        break;
    case BTF_KIND_ENUM:
    case BTF_KIND_ENUM64:
        out->encoding = enum_is_signed(type) ? BTF_INT_SIGNED : 0;
        break;
    case BTF_KIND_ARRAY:
        out->count = btf_array(type)->nelems;
        out->of = btf_array(type)->type;
        break;
    case BTF_KIND_PTR:
    case BTF_KIND_VAR:
    case BTF_KIND_FUNC:
    case BTF_KIND_FUNC_PROTO:
        out->of = type->type;
        break;
    default:
        break;
    }
    out->size = (uint32_t)size;
    return true;
}

bool lp_btf_member(const struct lp_btf *btf, uint32_t id, uint32_t i, struct lp_member *out)
{
    const struct btf_type *type = skip_modifiers(btf, &id);

    if (!type || i >= btf_vlen(type))
        return false;
    if (btf_is_datasec(type)) {
        const struct btf_var_secinfo *place = btf_var_secinfos(type) + i;
        const struct btf_type *variable = lp_btf_at(btf, place->type);

        if (!variable)
            return false;
        *out = (struct lp_member){
            .name = lp_btf_name_at(btf, variable->name_off), .type = variable->type, .bit_offset = place->offset * 8};
        return true;
    }
    if (btf_is_func_proto(type)) {
        *out = (struct lp_member){.name = lp_btf_name_at(btf, btf_params(type)[i].name_off),
                                  .type = btf_params(type)[i].type};
        return true;
    }
    if (!btf_is_composite(type))
        return false;
    *out = (struct lp_member){
        .name = lp_btf_name_at(btf, btf_members(type)[i].name_off),
        .type = btf_members(type)[i].type,
        .bit_offset = btf_member_bit_offset(type, i),
        .bit_size = btf_member_bitfield_size(type, i),
    };
    return true;
}

bool lp_btf_enumerator(const struct lp_btf *btf, uint32_t id, uint32_t i, struct lp_enumerator *out)
{
    const struct btf_type *type = skip_modifiers(btf, &id);

    if (!type || i >= btf_vlen(type))
        return false;
    if (btf_is_enum64(type)) {
        const struct btf_enum64 *value = btf_enum64(type) + i;

        *out = (struct lp_enumerator){lp_btf_name_at(btf, value->name_off), (int64_t)btf_enum64_value(value)};
        return true;
    }
    if (!btf_is_enum(type))
        return false;
    *out = (struct lp_enumerator){
        .name = lp_btf_name_at(btf, btf_enum(type)[i].name_off),
        .value = enum_is_signed(type) ? btf_enum(type)[i].val : (int64_t)(uint32_t)btf_enum(type)[i].val,
    };
    return true;
}
