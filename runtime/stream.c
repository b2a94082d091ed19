/* stream.c: an object's event streams, made what this kernel or the user wants before the object is loaded. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "object.h"
#include "source.h"

static int refuse(const struct lp_object *object, const struct bpf_map *map, int error)
{
    return lp_error_set(-error, "load", "%s: map %s cannot be made an event stream: %s", object->name,
                        bpf_map__name(map), strerror(-error));
}

static int make_perf(struct bpf_map *map)
{
    int error = bpf_map__set_type(map, BPF_MAP_TYPE_PERF_EVENT_ARRAY);

    if (error == 0)
        error = bpf_map__set_key_size(map, sizeof(uint32_t));
    if (error == 0)
        error = bpf_map__set_value_size(map, sizeof(uint32_t));
    return error ? error : bpf_map__set_max_entries(map, 0); /* libbpf makes it the number of CPUs */
}

static int make_ring(struct bpf_map *map, uint32_t bytes)
{
    int error = bpf_map__set_type(map, BPF_MAP_TYPE_RINGBUF);

    if (error == 0)
        error = bpf_map__set_key_size(map, 0);
    if (error == 0)
        error = bpf_map__set_value_size(map, 0);
    return error ? error : bpf_map__set_max_entries(map, bytes);
}

/* Where lp_reserve has events on their way to a perf buffer; a ring buffer has no use for it. */
static int need_slots(const struct lp_object *object, const struct bpf_map *map, bool needed)
{
    char name[256];
    struct bpf_map *slots;
    int error;

    snprintf(name, sizeof(name), "lp_slots_of_%s", bpf_map__name(map));
    slots = bpf_object__find_map_by_name(object->bpf, name);
    if (!slots)
        return 0;
    error = bpf_map__set_autocreate(slots, needed);
    if (error == 0 && bpf_map__type(slots) == BPF_MAP_TYPE_ARRAY) /* too large for a per-CPU map */
        error = bpf_map__set_max_entries(slots, (uint32_t)lp_cpu_count());
    return error;
}

int lp_object_untyped_ring(struct lp_object *object, int i)
{
    struct bpf_map *map = lp_object_map_at(object, i);
    int error = make_ring(map, bpf_map__max_entries(map));

    return error ? refuse(object, map, error) : 0;
}

int lp_object_events(struct lp_object *object, int i, bool ring, size_t bytes, uint64_t *watermark)
{
    size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
    size_t most = (size_t)1 << 31;
    size_t all = (bytes ? bytes : lp_source_default_bytes()) * (size_t)lp_cpu_count();
    struct bpf_map *map = lp_object_map_at(object, i);
    int error;

    if (!map)
        return lp_error_set(ENOENT, "load", "%s: there is no map %d", object->name, i);
    *watermark = 0;
    error = need_slots(object, map, !ring);
    if (!ring && error == 0)
        error = make_perf(map);
    if (!ring || error != 0)
        return error ? refuse(object, map, error) : 0;
    if (bytes % page_size != 0 || (bytes & (bytes - 1)) != 0 || bytes > (size_t)64 << 20) {
        lp_error_set(EINVAL, "events", "%s: the buffer of %s cannot have %zu bytes per CPU", object->name,
                     bpf_map__name(map), bytes);
        lp_error_hint("it has a power of two of pages: %zu bytes to 64 MiB", page_size);
        return -EINVAL;
    }
    all = lp_power_of_two(all);
    all = all < most ? all : most;
    error = make_ring(map, (uint32_t)all);
    *watermark = all / 4;
    return error ? refuse(object, map, error) : 0;
}
