/*
 * map_peer.c: what the map benchmarks compare luaprobe with: the same loops in C. It works on a map of this machine,
 * u32 to 32 bytes, by its id, and prints nanoseconds per entry.
 *
 *   map_peer MAP_ID fill|items|keys|get|set COUNT
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct value {
    uint64_t count;
    uint64_t rest[3];
};

enum { BATCH = 4096 };

static uint32_t keys[BATCH];
static struct value values[BATCH];

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static uint64_t fill(int fd, uint32_t count)
{
    LIBBPF_OPTS(bpf_map_batch_opts, opts);

    for (uint32_t first = 0; first < count; first += BATCH) {
        uint32_t size = count - first < BATCH ? count - first : BATCH;

        for (uint32_t i = 0; i < size; i++) {
            keys[i] = first + i;
            values[i].count = 1;
        }
        if (bpf_map_update_batch(fd, keys, values, &size, &opts) != 0)
            exit(1);
    }
    return count;
}

static uint64_t sum_batches(int fd)
{
    LIBBPF_OPTS(bpf_map_batch_opts, opts);
    uint32_t position;
    uint64_t sum = 0;
    void *from = NULL;
    int error;

    do {
        uint32_t size = BATCH;

        error = bpf_map_lookup_batch(fd, from, &position, keys, values, &size, &opts);
        if (error && error != -ENOENT)
            exit(1);
        for (uint32_t i = 0; i < size; i++)
            sum += values[i].count + keys[i];
        from = &position;
    } while (error == 0);
    return sum;
}

static uint64_t sum_by_key(int fd)
{
    uint32_t key;
    uint64_t sum = 0;
    int error = bpf_map_get_next_key(fd, NULL, &key);

    while (error == 0) {
        bpf_map_lookup_elem(fd, &key, &values[0]);
        sum += values[0].count + key;
        error = bpf_map_get_next_key(fd, &key, &key);
    }
    return sum;
}

static uint64_t get(int fd, uint32_t count)
{
    uint64_t sum = 0;

    for (uint32_t key = 0; key < count; key++) {
        bpf_map_lookup_elem(fd, &key, &values[0]);
        sum += values[0].count;
    }
    return sum;
}

static uint64_t set(int fd, uint32_t count)
{
    for (uint32_t key = 0; key < count; key++) {
        values[0].count = key;
        bpf_map_update_elem(fd, &key, &values[0], BPF_ANY);
    }
    return count;
}

int main(int argc, char **argv)
{
    int fd = argc == 4 ? bpf_map_get_fd_by_id((uint32_t)atoi(argv[1])) : -1;
    uint32_t count = argc == 4 ? (uint32_t)atoi(argv[3]) : 0;
    double start = now();
    uint64_t sum = 0;

    if (fd < 0)
        return 2;
    if (strcmp(argv[2], "fill") == 0)
        sum = fill(fd, count);
    else if (strcmp(argv[2], "items") == 0)
        sum = sum_batches(fd);
    else if (strcmp(argv[2], "keys") == 0)
        sum = sum_by_key(fd);
    else if (strcmp(argv[2], "get") == 0)
        sum = get(fd, count);
    else if (strcmp(argv[2], "set") == 0)
        sum = set(fd, count);
    printf("%.1f %llu\n", (now() - start) / count, (unsigned long long)sum);
    return 0;
}
