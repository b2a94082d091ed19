/*
 * btf.c: types, as BTF describes them: the kernel's documentation (bpf/btf.rst) is the source of the encodings.
 *
 * Lua turns them into FFI types (lua/luaprobe/types.lua). Every function checks its ids, since BTF comes from files.
 */
#include <bpf/btf.h>
#include <errno.h>
#include <string.h>

#include "luaprobe.h"

uint32_t lp_btf_count(const struct btf *btf)
{
    return btf__type_cnt(btf) - 1;
}

static const char *name_at(const struct btf *btf, uint32_t offset)
{
    const char *name = btf__name_by_offset(btf, offset);

    return name ? name : "";
}

/*
 * A type behind its typedefs and qualifiers, or NULL. Corrupt BTF can make these point at each other in a circle, so
 * the steps are bounded as libbpf bounds them.
 */
static const struct btf_type *skip_modifiers(const struct btf *btf, uint32_t *id)
{
    for (int step = 0; step < 32; step++) {
        const struct btf_type *type = btf__type_by_id(btf, *id);

        if (!type || !(btf_is_mod(type) || btf_is_typedef(type)))
            return type;
        *id = type->type;
    }
    return NULL;
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

bool lp_btf_type(const struct btf *btf, uint32_t id, struct lp_type *out)
{
    const struct btf_type *type = skip_modifiers(btf, &id);
    int64_t size = 0;

    if (!type)
        return false;
    *out = (struct lp_type){
        .id = id,
        .kind = btf_kind(type),
        .name = name_at(btf, type->name_off),
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
        out->of = type->type;
        break;
    default:
        break;
    }
    if (id != 0 && out->kind != BTF_KIND_FUNC_PROTO && out->kind != BTF_KIND_FUNC && out->kind != BTF_KIND_FWD)
        size = out->kind == BTF_KIND_DATASEC ? (int64_t)type->size : btf__resolve_size(btf, id);
    if (size < 0)
        return false;
    out->size = (uint32_t)size;
    return true;
}

bool lp_btf_member(const struct btf *btf, uint32_t id, uint32_t i, struct lp_member *out)
{
    const struct btf_type *type = skip_modifiers(btf, &id);

    if (!type || i >= btf_vlen(type))
        return false;
    if (btf_is_datasec(type)) {
        const struct btf_var_secinfo *place = btf_var_secinfos(type) + i;
        const struct btf_type *variable = btf__type_by_id(btf, place->type);

        if (!variable)
            return false;
        *out = (struct lp_member){
            .name = name_at(btf, variable->name_off), .type = variable->type, .bit_offset = place->offset * 8};
        return true;
    }
    if (!btf_is_composite(type))
        return false;
    *out = (struct lp_member){
        .name = name_at(btf, btf_members(type)[i].name_off),
        .type = btf_members(type)[i].type,
        .bit_offset = btf_member_bit_offset(type, i),
        .bit_size = btf_member_bitfield_size(type, i),
    };
    return true;
}

bool lp_btf_enumerator(const struct btf *btf, uint32_t id, uint32_t i, struct lp_enumerator *out)
{
    const struct btf_type *type = skip_modifiers(btf, &id);

    if (!type || i >= btf_vlen(type))
        return false;
    if (btf_is_enum64(type)) {
        const struct btf_enum64 *value = btf_enum64(type) + i;

        *out = (struct lp_enumerator){name_at(btf, value->name_off), (int64_t)btf_enum64_value(value)};
        return true;
    }
    if (!btf_is_enum(type))
        return false;
    *out = (struct lp_enumerator){
        .name = name_at(btf, btf_enum(type)[i].name_off),
        .value = enum_is_signed(type) ? btf_enum(type)[i].val : (int64_t)(uint32_t)btf_enum(type)[i].val,
    };
    return true;
}

uint32_t lp_btf_find(const struct btf *btf, uint32_t kind, const char *name)
{
    int32_t id = btf__find_by_name_kind(btf, name, kind);

    if (id <= 0 && kind == BTF_KIND_ENUM)
        id = btf__find_by_name_kind(btf, name, BTF_KIND_ENUM64);
    return id > 0 ? (uint32_t)id : 0;
}
