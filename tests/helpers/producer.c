/*
 * producer.c: makes getpgid(2) calls, which the fixtures turn into events.
 *
 *     producer THREADS CALLS [GAP [migrate]]
 *
 * Prints its pid, waits for a line on standard input, and makes CALLS calls in each of THREADS threads: flat out, or
 * with GAP nanoseconds of its own work between two. `migrate` moves each thread to another CPU every hundred calls.
 * Prints the median and the mean time of a call, in nanoseconds, and ends at the next line.
 */
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long calls, gap;
static int migrate;
static double total[64];
static uint32_t *times; /* of the first thread */

static int64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void move(long i)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((size_t)(i % sysconf(_SC_NPROCESSORS_ONLN)), &set);
    sched_setaffinity(0, sizeof(set), &set);
}

static void *produce(void *argument)
{
    long thread = (long)(intptr_t)argument;
    int64_t sum = 0;

    for (long i = 0; i < calls; i++) {
        int64_t start;

        if (migrate && i % 100 == 0)
            move(i / 100 + thread);
        start = now();
        syscall(SYS_getpgid, 0);
        if (gap || thread == 0) {
            int64_t took = now() - start;

            sum += took;
            if (thread == 0)
                times[i] = (uint32_t)took;
            while (gap && now() - start < gap)
                ;
        }
    }
    total[thread] = (double)sum;
    return NULL;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    long threads = argc > 2 ? atol(argv[1]) : 0;
    pthread_t ids[64];
    char line[16];

    calls = argc > 2 ? atol(argv[2]) : 0;
    gap = argc > 3 ? atol(argv[3]) : 0;
    migrate = argc > 4 && strcmp(argv[4], "migrate") == 0;
    if (threads < 1 || threads > 64 || calls < 1) {
        fputs("usage: producer THREADS CALLS [GAP [migrate]]\n", stderr);
        return 2;
    }
    times = calloc((size_t)calls, sizeof(*times));
    if (!times)
        return 1;
    memset(times, 1, (size_t)calls * sizeof(*times)); /* so that no page is new while it counts */
    printf("%d\n", (int)getpid());
    fflush(stdout);
    if (!fgets(line, sizeof(line), stdin))
        return 1;
    for (long i = 0; i < threads; i++)
        pthread_create(&ids[i], NULL, produce, (void *)(intptr_t)i);
    for (long i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    qsort(times, (size_t)calls, sizeof(*times), compare);
    printf("%u %.0f\n", times[calls / 2], total[0] / (double)calls);
    fflush(stdout);
    (void)fgets(line, sizeof(line), stdin);
    free(times);
    return 0;
}
