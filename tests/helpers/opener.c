/*
 * opener.c: opens files in a way that tests can account for.
 *
 *   opener DIRECTORY THREADS COUNT   every thread opens COUNT paths of its own, DIRECTORY/THREAD-NUMBER, which need
 *                                    not exist; then "PID" and one line "THREAD TID" per thread are printed
 *
 * It waits for a line on standard input before it starts, so that a test can learn its pid first.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_THREADS = 64 };

struct work {
    const char *directory;
    int thread;
    int count;
    long tid;
};

static void *run(void *argument)
{
    struct work *work = argument;
    char path[4096];

    work->tid = syscall(SYS_gettid);
    for (int i = 0; i < work->count; i++) {
        int fd;

        snprintf(path, sizeof(path), "%s/%d-%d", work->directory, work->thread, i);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
            close(fd);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static struct work works[MAX_THREADS];
    static pthread_t threads[MAX_THREADS];
    int count = argc == 4 ? atoi(argv[2]) : 0;

    if (count < 1 || count > MAX_THREADS) {
        fprintf(stderr, "usage: opener DIRECTORY THREADS COUNT\n");
        return 2;
    }
    printf("%d\n", getpid());
    fflush(stdout);
    if (getchar() == EOF)
        return 1;
    for (int i = 0; i < count; i++) {
        works[i] = (struct work){argv[1], i, atoi(argv[3]), 0};
        if (pthread_create(&threads[i], NULL, run, &works[i]) != 0)
            return 1;
    }
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        printf("%d %ld\n", i, works[i].tid);
    }
    return 0;
}
