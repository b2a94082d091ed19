/* object_map.c: the maps of an object: what they are, and what can be changed before they are made. */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "error.h"
#include "object.h"

struct bpf_map *lp_object_map_at(const struct lp_object *object, int i)
{
    struct bpf_map *map;

    bpf_object__for_each_map(map, object->bpf)
    {
        if (i-- == 0)
            return map;
    }
    return NULL;
}

/*
 * libbpf names the maps of global variables after the object ("opensno.rodata"), whose own name may have dots too, and
 * since 1.0 the sections with further dots by their full name (".rodata.str"). What is wanted is the section: it is the
 * name of the value's type.
 */
static const char *datasec_name(const struct lp_object *object, const struct bpf_map *map)
{
    const struct btf *btf = bpf_object__btf(object->bpf);
    const struct btf_type *type = btf ? btf__type_by_id(btf, bpf_map__btf_value_type_id(map)) : NULL;

    return type ? btf__name_by_offset(btf, type->name_off) : NULL;
}

static void describe(const struct lp_object *object, struct bpf_map *map, struct lp_map *out)
{
    *out = (struct lp_map){
        .name = bpf_map__name(map),
        .type = bpf_map__type(map),
        .key_size = bpf_map__key_size(map),
        .value_size = bpf_map__value_size(map),
        .max_entries = bpf_map__max_entries(map),
        .flags = bpf_map__map_flags(map),
        .key_type = bpf_map__btf_key_type_id(map),
        .value_type = bpf_map__btf_value_type_id(map),
        .fd = bpf_map__fd(map) < 0 ? -1 : bpf_map__fd(map),
        .pin = bpf_map__pin_path(map),
    };
    if (bpf_map__is_internal(map)) {
        out->datasec = datasec_name(object, map);
        /* libbpf 1.1 declares the map const here, later ones do not; it stays unchanged in all. */
        out->globals = (void *)bpf_map__initial_value(map, &out->globals_size);
    }
}

bool lp_object_map(struct lp_object *object, int i, struct lp_map *out)
{
    struct bpf_map *map = lp_object_map_at(object, i);

    if (map)
        describe(object, map, out);
    return map != NULL;
}

bool lp_object_inner_map(struct lp_object *object, int i, struct lp_map *out)
{
    struct bpf_map *map = lp_object_map_at(object, i);
    struct bpf_map *inner = map ? bpf_map__inner_map(map) : NULL;

    if (inner)
        describe(object, inner, out);
    return inner != NULL;
}

/* libbpf 1.1 grows no section of global variables; 1.3 and later do. */
static int change(struct bpf_map *map, const struct lp_map_change *to)
{
    int error = 0;

    if (to->max_entries)
        error = bpf_map__set_max_entries(map, to->max_entries);
    if (error == 0 && to->value_size)
        error = bpf_map__set_value_size(map, to->value_size);
    if (error == 0 && to->pin)
        error = bpf_map__set_pin_path(map, to->pin[0] ? to->pin : NULL);
    if (error == 0 && to->inner_fd >= 0)
        error = bpf_map__set_inner_map_fd(map, to->inner_fd);
    return error;
}

int lp_object_change_map(struct lp_object *object, int i, const struct lp_map_change *to)
{
    struct bpf_map *map = lp_object_map_at(object, i);
    int error;

    lp_error_capture();
    error = map ? change(map, to) : -ENOENT;
    if (error)
        return lp_error_from_libbpf(-error, "open", object->name);
    return 0;
}

int lp_object_without_map(struct lp_object *object, int i)
{
    int error = bpf_map__set_autocreate(lp_object_map_at(object, i), false);

    return error ? lp_error_from_libbpf(-error, "load", object->name) : 0;
}
