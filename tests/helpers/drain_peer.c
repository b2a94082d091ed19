/*
 * drain_peer.c: what libbpf's callbacks take to drain a buffer, for tests/bench/drain_bench.lua.
 *
 *     drain_peer OBJECT ring|perf EVENTS RUNS
 *
 * Loads fixtures/sample.bpf.o, fills the buffer by calls of its own, and drains it with a callback that sums one field.
 * Prints the nanoseconds of CPU time per event of each run.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { BYTES = 64 << 20, BURST = 64, PAGE = 4096 };

struct event {
    uint64_t time, number;
    uint32_t pid, tid, cpu, value;
};

static uint64_t sum, count;

static int on_ring(void *context, void *data, size_t size)
{
    const struct event *event = data;

    (void)context;
    (void)size;
    sum += event->value;
    count++;
    return 0;
}

static void on_perf(void *context, int cpu, void *data, uint32_t size)
{
    const struct event *event = data;

    (void)context;
    (void)cpu;
    (void)size;
    sum += event->value;
    count++;
}

/* The variables of fixtures/sample.bpf.c, found by their place in the section: libbpf's skeletons know it, we look. */
static void set_constant(struct bpf_object *object, const char *name, uint32_t value)
{
    const struct btf *btf = bpf_object__btf(object);
    const struct btf_type *section =
        btf__type_by_id(btf, (uint32_t)btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC));
    struct bpf_map *map;
    size_t size;

    bpf_object__for_each_map(map, object)
    {
        char *data = strstr(bpf_map__name(map), ".rodata") ? (char *)bpf_map__initial_value(map, &size) : NULL;

        for (uint16_t i = 0; data && i < btf_vlen(section); i++) {
            const struct btf_var_secinfo *place = btf_var_secinfos(section) + i;

            if (strcmp(btf__name_by_offset(btf, btf__type_by_id(btf, place->type)->name_off), name) == 0)
                memcpy(data + place->offset, &value, sizeof(value));
        }
    }
}

/* The CPU time of this process, so that neighbours do not count. */
static int64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void pin(void)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(0, &set);
    sched_setaffinity(0, sizeof(set), &set);
}

int main(int argc, char **argv)
{
    int perf = argc == 5 && strcmp(argv[2], "perf") == 0;
    long events = argc == 5 ? atol(argv[3]) : 0;
    struct bpf_object *object = argc == 5 ? bpf_object__open_file(argv[1], NULL) : NULL;
    struct bpf_map *map = object ? bpf_object__find_map_by_name(object, "events") : NULL;
    struct ring_buffer *ring = NULL;
    struct perf_buffer *buffer = NULL;

    if (!map)
        return 2;
    pin();
    set_constant(object, "only_pid", (uint32_t)getpid());
    set_constant(object, "burst", BURST);
    set_constant(object, "lp_perf_of_events", (uint32_t)perf);
    if (perf) {
        bpf_map__set_type(map, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
        bpf_map__set_key_size(map, 4);
        bpf_map__set_value_size(map, 4);
    }
    bpf_map__set_max_entries(map, perf ? 0 : BYTES);
    if (bpf_object__load(object) != 0)
        return 1;
    if (perf)
        buffer = perf_buffer__new(bpf_map__fd(map), BYTES / PAGE, on_perf, NULL, NULL, NULL);
    else
        ring = ring_buffer__new(bpf_map__fd(map), on_ring, NULL, NULL);
    if (!buffer && !ring)
        return 1;
    if (!bpf_program__attach(bpf_object__find_program_by_name(object, "produce")))
        return 1;
    for (long run = 0; run < atol(argv[4]); run++) {
        int64_t start;

        count = 0;
        for (long i = 0; i < events / BURST; i++)
            syscall(SYS_getpgid, 0);
        start = now();
        if (perf)
            perf_buffer__consume(buffer);
        else
            ring_buffer__consume(ring);
        printf("%.2f\n", (double)(now() - start) / (double)events);
        if (count != (uint64_t)events) {
            fprintf(stderr, "%llu of %ld events\n", (unsigned long long)count, events);
            return 1;
        }
    }
    return 0;
}
