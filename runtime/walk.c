/*
 * walk.c: all entries of a map, in batches, or taken out of it.
 *
 * The kernel hands out hash maps by the bucket (BPF_MAP_LOOKUP_BATCH, Linux 5.6): each entry that is there all the time
 * comes once, whatever happens to others. Maps without it are walked key by key. There the kernel starts again from the
 * first key when the last one is gone, so keys that came before are remembered, and a walk in which nothing new comes
 * any more is over.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "map.h"

enum {
    BATCH = 4096, /* entries per system call, as far as they stay below a mebibyte */
    BATCH_BYTES = 1 << 20,
    RESTARTS = 16, /* of a walk key by key, until it is given up */
};

struct lp_walk {
    int fd;
    bool take;
    bool started;
    bool over;
    bool one_by_one;
    bool in_two_steps; /* the kernel cannot read and delete an entry at once */
    uint64_t left;     /* walking key by key: entries that still may come, since writers could add them for ever */
    uint32_t key_size;
    uint32_t value_bytes; /* of all CPUs */
    uint32_t capacity;    /* entries that the buffers hold */
    uint8_t *keys;
    uint8_t *values;
    uint8_t *position; /* the kernel's: a bucket's number, or a key */
    /* Walking key by key: */
    uint8_t *last_key;
    uint8_t *seen; /* keys handed out, key_size each */
    uint32_t seen_count;
    uint32_t seen_capacity;
    uint32_t *slots; /* their indices from 1, by hash */
    uint32_t slot_mask;
    uint64_t repeated; /* keys that came again */
};

/* ---- buffers -------------------------------------------------------------------------------------------------- */

static bool resize(struct lp_walk *walk, uint32_t capacity)
{
    uint8_t *keys = realloc(walk->keys, (size_t)capacity * walk->key_size + 8);
    uint8_t *values;

    if (!keys)
        return false;
    walk->keys = keys;
    values = realloc(walk->values, (size_t)capacity * walk->value_bytes + 8);
    if (!values)
        return false;
    walk->values = values;
    walk->capacity = capacity;
    return true;
}

/*
 * Those that the kernel walks without coming back. Its batches of other types (LPM tries) go from key to key as well,
 * and begin anew without telling when one is gone.
 */
static bool has_batches(uint32_t type)
{
    return type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_LRU_HASH ||
           type == BPF_MAP_TYPE_LRU_PERCPU_HASH || type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

struct lp_walk *lp_walk_open(int fd, const struct lp_map *map, bool take)
{
    struct lp_walk *walk = calloc(1, sizeof(*walk));
    uint32_t capacity;

    if (!walk)
        goto fail;
    walk->fd = fd;
    walk->take = take;
    walk->one_by_one = !has_batches(map->type);
    walk->left = (uint64_t)map->max_entries * 2 + BATCH;
    walk->key_size = map->key_size;
    walk->value_bytes = lp_map_stride(map->type, map->value_size) * lp_map_cpus(map->type);
    capacity = BATCH_BYTES / (walk->key_size + walk->value_bytes + 1);
    capacity = capacity > BATCH ? BATCH : capacity < 16 ? 16 : capacity;
    walk->position = calloc(1, walk->key_size + 8);
    walk->last_key = malloc(walk->key_size + 8);
    if (walk->position && walk->last_key && resize(walk, capacity))
        return walk;

fail:
    lp_walk_close(walk);
    lp_error_set(ENOMEM, "map", "no memory to walk through it");
    return NULL;
}

void lp_walk_close(struct lp_walk *walk)
{
    if (!walk)
        return;
    free(walk->keys);
    free(walk->values);
    free(walk->position);
    free(walk->last_key);
    free(walk->seen);
    free(walk->slots);
    free(walk);
}

/* ---- key by key ----------------------------------------------------------------------------------------------- */

static uint32_t hash(const uint8_t *key, uint32_t size)
{
    uint32_t value = 2166136261;

    for (uint32_t i = 0; i < size; i++)
        value = (value ^ key[i]) * 16777619;
    return value;
}

static void enter(struct lp_walk *walk, uint32_t index)
{
    uint32_t slot = hash(walk->seen + (size_t)index * walk->key_size, walk->key_size) & walk->slot_mask;

    while (walk->slots[slot])
        slot = (slot + 1) & walk->slot_mask;
    walk->slots[slot] = index + 1;
}

static bool grow_seen(struct lp_walk *walk)
{
    uint32_t capacity = walk->seen_capacity ? walk->seen_capacity * 2 : 256;
    uint8_t *seen = realloc(walk->seen, (size_t)capacity * walk->key_size);
    uint32_t *slots = calloc((size_t)capacity * 2, sizeof(*slots));

    if (seen)
        walk->seen = seen;
    if (!seen || !slots) {
        free(slots);
        return false;
    }
    free(walk->slots);
    walk->slots = slots;
    walk->slot_mask = capacity * 2 - 1;
    walk->seen_capacity = capacity;
    for (uint32_t i = 0; i < walk->seen_count; i++)
        enter(walk, i);
    return true;
}

/* Whether the key comes for the first time: 1, 0, or -ENOMEM. */
static int is_new(struct lp_walk *walk, const uint8_t *key)
{
    if (walk->seen_count == walk->seen_capacity && !grow_seen(walk))
        return -ENOMEM;
    for (uint32_t slot = hash(key, walk->key_size) & walk->slot_mask; walk->slots[slot];
         slot = (slot + 1) & walk->slot_mask) {
        if (memcmp(walk->seen + (size_t)(walk->slots[slot] - 1) * walk->key_size, key, walk->key_size) == 0)
            return 0;
    }
    memcpy(walk->seen + (size_t)walk->seen_count * walk->key_size, key, walk->key_size);
    enter(walk, walk->seen_count++);
    return 1;
}

/*
 * Reads an entry and takes it out. The kernel does both at once for hash maps only; of the others (LPM tries, hashes of
 * maps) what is written between the two calls goes with the entry. Whoever deletes it has taken it: -ENOENT for all
 * others, so that nobody counts it twice.
 */
static int take_value(struct lp_walk *walk, const uint8_t *key, uint8_t *value)
{
    int error = walk->in_two_steps ? -ENOTSUPP : bpf_map_lookup_and_delete_elem(walk->fd, key, value);

    if (error != -ENOTSUPP && error != -EOPNOTSUPP)
        return error;
    walk->in_two_steps = true;
    error = bpf_map_lookup_elem(walk->fd, key, value);
    return error ? error : bpf_map_delete_elem(walk->fd, key);
}

/* Reads an entry's value, and takes it out if that is asked for; -ENOENT when it is gone meanwhile. */
static int read_value(struct lp_walk *walk, const uint8_t *key, uint8_t *value)
{
    return walk->take ? take_value(walk, key, value) : bpf_map_lookup_elem(walk->fd, key, value);
}

/* The next key; -ENOENT at the end. */
static int step(struct lp_walk *walk, uint8_t *key)
{
    /* What is taken out is gone, so the first key is always the next one. */
    int error = bpf_map_get_next_key(walk->fd, walk->started && !walk->take ? walk->last_key : NULL, key);

    if (error)
        return error;
    walk->started = true;
    memcpy(walk->last_key, key, walk->key_size);
    return 0;
}

static int next_one_by_one(struct lp_walk *walk)
{
    uint32_t count = 0;

    while (count < walk->capacity) {
        uint8_t *key = walk->keys + (size_t)count * walk->key_size;
        int error = step(walk, key);
        int fresh;

        if (error == -ENOENT || walk->left == 0) {
            walk->over = true;
            break;
        }
        if (error)
            return error;
        walk->left--;
        fresh = walk->take ? 1 : is_new(walk, key);
        if (fresh < 0)
            return fresh;
        if (!fresh) {
            /* The walk began anew, and comes past what it had. */
            walk->left++;
            walk->over = ++walk->repeated > (uint64_t)RESTARTS * walk->seen_count;
            if (walk->over)
                break;
            continue;
        }
        error = read_value(walk, key, walk->values + (size_t)count * walk->value_bytes);
        if (error == 0)
            count++;
        else if (error != -ENOENT)
            return error;
    }
    return (int)count;
}

/* ---- batches -------------------------------------------------------------------------------------------------- */

static int call_batch(struct lp_walk *walk, uint8_t *next, uint32_t *count)
{
    LIBBPF_OPTS(bpf_map_batch_opts, opts);
    void *from = walk->started ? walk->position : NULL;

    *count = walk->capacity;
    if (walk->take)
        return bpf_map_lookup_and_delete_batch(walk->fd, from, next, walk->keys, walk->values, count, &opts);
    return bpf_map_lookup_batch(walk->fd, from, next, walk->keys, walk->values, count, &opts);
}

/* -EOPNOTSUPP when the map has no batches. */
static int next_batch(struct lp_walk *walk)
{
    uint8_t *next = walk->last_key;
    uint32_t count;
    int error = call_batch(walk, next, &count);

    while (error == -ENOSPC) { /* a bucket that is longer than the buffers */
        if (!resize(walk, walk->capacity * 2))
            return -ENOMEM;
        error = call_batch(walk, next, &count);
    }
    if (error == -ENOTSUPP || error == -EOPNOTSUPP || (error == -EINVAL && !walk->started))
        return -EOPNOTSUPP;
    if (error && error != -ENOENT)
        return error;
    walk->over = error == -ENOENT;
    walk->started = true;
    memcpy(walk->position, next, walk->key_size > 8 ? walk->key_size : 8);
    return (int)count;
}

int lp_walk_next(struct lp_walk *walk, struct lp_batch *out)
{
    int count = 0;

    while (count == 0 && !walk->over) {
        if (!walk->one_by_one) {
            count = next_batch(walk);
            walk->one_by_one = count == -EOPNOTSUPP;
        }
        if (walk->one_by_one)
            count = next_one_by_one(walk);
    }
    *out = (struct lp_batch){.keys = walk->keys, .values = walk->values, .count = count > 0 ? (uint32_t)count : 0};
    return count < 0 ? lp_map_explain(count) : count;
}
