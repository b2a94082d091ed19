/*
 * close.c: detaching many probes at once.
 *
 * Taking one probe away costs the kernel several RCU grace periods, 35 to 120 ms of waiting, and it takes probes away
 * one after the other (event_mutex in kernel/trace/trace_event_perf.c). Programs are unbound in much less, and many of
 * them in the same grace period; but 6.12 waits for one each while it holds bpf_event_mutex, which no way of unbinding
 * gets around (measured: link, perf and legacy alike, with expedited RCU too; multi takes three times as long). So all
 * programs are stopped first, by threads that wait at the same time; what the kernel needs to forget the empty probes
 * goes to a thread that nobody waits for but the end of the process.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "probe.h"

/* ---- in parallel ---------------------------------------------------------------------------------------------- */

struct share {
    struct lp_probe *const *probes;
    struct lp_probe_counts *counts;
    uint32_t count;
    uint32_t first;
    uint32_t step;
};

static void *stop_share(void *argument)
{
    const struct share *share = argument;

    for (uint32_t i = share->first; i < share->count; i += share->step)
        lp_probe_halt(share->probes[i], &share->counts[i]);
    return NULL;
}

/* Signals are for the thread that runs Lua. */
static int start_thread(pthread_t *thread, void *(*run)(void *), void *argument)
{
    sigset_t all;
    sigset_t before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(thread, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

/* What cannot have a thread of its own is done here. */
static void stop_all(struct lp_probe *const *probes, uint32_t count, struct lp_probe_counts *counts)
{
    enum { THREADS = 64 };
    pthread_t threads[THREADS];
    struct share shares[THREADS];
    bool started[THREADS];
    uint32_t step = count < THREADS ? count : THREADS;

    for (uint32_t i = 0; i < step; i++) {
        shares[i] = (struct share){probes, counts, count, i, step};
        started[i] = i > 0 && start_thread(&threads[i], stop_share, &shares[i]) == 0;
    }
    for (uint32_t i = 0; i < step; i++) {
        if (!started[i])
            (void)stop_share(&shares[i]);
    }
    for (uint32_t i = 0; i < step; i++) {
        if (started[i])
            (void)pthread_join(threads[i], NULL);
    }
}

/* ---- in the background ---------------------------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t settled = PTHREAD_COND_INITIALIZER;
static int pending; /* threads */

void lp_probe_settle(void)
{
    pthread_mutex_lock(&lock);
    while (pending > 0)
        pthread_cond_wait(&settled, &lock);
    pthread_mutex_unlock(&lock);
}

static void count_pending(int change)
{
    static bool registered;

    pthread_mutex_lock(&lock);
    if (!registered)
        registered = atexit(lp_probe_settle) == 0;
    pending += change;
    pthread_cond_broadcast(&settled);
    pthread_mutex_unlock(&lock);
}

static void free_list(struct lp_probe *first)
{
    while (first) {
        struct lp_probe *next = first->next;

        lp_probe_free(first);
        first = next;
    }
}

static void *free_in_thread(void *first)
{
    free_list(first);
    count_pending(-1);
    return NULL;
}

static bool free_in_background(struct lp_probe *first)
{
    pthread_t thread;

    count_pending(1);
    if (start_thread(&thread, free_in_thread, first) != 0) {
        count_pending(-1);
        return false;
    }
    (void)pthread_detach(thread);
    return true;
}

void lp_probe_close_all(struct lp_probe *const *probes, uint32_t count, struct lp_probe_counts *counts)
{
    enum { FEW = 4 }; /* for which nobody minds to wait, and then nothing at all is left */
    struct lp_probe *first = NULL;
    uint32_t functions = 0;

    stop_all(probes, count, counts);
    for (uint32_t i = count; i-- > 0;) {
        probes[i]->next = first;
        first = probes[i];
        functions += lp_probe_functions(probes[i]);
    }
    if (functions <= FEW || !free_in_background(first))
        free_list(first);
}
