/*
 * layout_check.c: whether an object's members lie within their structs, and its variables within their sections.
 *
 * Lua reads and writes memory at these places. Where a variable is comes from BTF or, since clang leaves that to the
 * loader, from the symbols: libbpf puts it together when it opens the object. So this is looked at afterwards.
 */
#include "layout_check.h"

#include <bpf/btf.h>
#include <errno.h>
#include <string.h>

#include "error.h"
#include "object.h"

enum { MAX_EMPTY = 65536 };

static int refuse(const struct lp_object *object, const char *what, const char *where)
{
    lp_error_set(EINVAL, "open", "%s: damaged: %s does not lie within %s", object->name, what, where);
    lp_error_hint("copy or build the object again");
    return -EINVAL;
}

static const char *name_at(const struct btf *btf, uint32_t offset)
{
    const char *name = btf__name_by_offset(btf, offset);

    return name && *name ? name : "(anonymous)";
}

/* What has no size, void or a function, is not read. */
static uint64_t size_of(const struct btf *btf, uint32_t id)
{
    int64_t size = btf__resolve_size(btf, id);

    return size > 0 ? (uint64_t)size : 0;
}

static int check_members(const struct lp_object *object, const struct btf *btf, const struct btf_type *type)
{
    const struct btf_member *member = btf_members(type);

    for (uint32_t i = 0; i < btf_vlen(type); i++, member++) {
        uint64_t bits = btf_member_bitfield_size(type, i);

        if (bits == 0)
            bits = size_of(btf, member->type) * 8;
        if (btf_member_bit_offset(type, i) + bits > (uint64_t)type->size * 8)
            return refuse(object, name_at(btf, member->name_off), name_at(btf, type->name_off));
    }
    return 0;
}

static int check_variables(const struct lp_object *object, const struct btf *btf, const struct btf_type *section,
                           size_t room)
{
    const struct btf_var_secinfo *place = btf_var_secinfos(section);

    for (uint32_t i = 0; i < btf_vlen(section); i++, place++) {
        const struct btf_type *variable = btf__type_by_id(btf, place->type);

        if (place->offset + size_of(btf, place->type) > room)
            return refuse(object, name_at(btf, variable->name_off), name_at(btf, section->name_off));
    }
    return 0;
}

/* Nothing else bounds the number of elements that take no space. */
static int check_array(const struct lp_object *object, const struct btf *btf, const struct btf_array *array)
{
    if (array->nelems <= MAX_EMPTY || size_of(btf, array->type) > 0)
        return 0;
    lp_error_set(EINVAL, "open", "%s: damaged: an array of %u elements that take no space", object->name,
                 array->nelems);
    lp_error_hint("copy or build the object again");
    return -EINVAL;
}

/* Every map that holds the variables of this section, should there be several. */
static int check_section(struct lp_object *object, const struct btf *btf, const struct btf_type *section)
{
    struct lp_map map;
    int error = 0;

    for (int i = 0; !error && lp_object_map(object, i, &map); i++) {
        if (map.datasec && map.globals && strcmp(name_at(btf, section->name_off), map.datasec) == 0)
            error = check_variables(object, btf, section, map.globals_size);
    }
    return error;
}

int lp_layout_check(struct lp_object *object)
{
    const struct btf *btf = bpf_object__btf(object->bpf);
    int error = 0;

    for (uint32_t id = 1; btf && !error && id < btf__type_cnt(btf); id++) {
        const struct btf_type *type = btf__type_by_id(btf, id);

        if (btf_is_composite(type))
            error = check_members(object, btf, type);
        else if (btf_is_array(type))
            error = check_array(object, btf, btf_array(type));
        else if (btf_is_datasec(type))
            error = check_section(object, btf, type);
    }
    return error;
}
