/* caller.c: calls getpgid(2), which the fixtures trace, from several threads: caller THREADS CALLS [KEYS]. Each thread
 * passes the numbers 1,000,000 to 1,000,000 + KEYS - 1 in turn, which no process has. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static long calls, keys = 1;

static void *run(void *argument)
{
    (void)argument;
    for (long i = 0; i < calls; i++)
        (void)getpgid(1000000 + (int)(i % keys));
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[64];
    int count = argc > 2 ? atoi(argv[1]) : 0;

    if (count < 1 || count > 64) {
        fputs("usage: caller THREADS CALLS [KEYS]\n", stderr);
        return 2;
    }
    calls = atol(argv[2]);
    if (argc > 3)
        keys = atol(argv[3]);
    for (int i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, run, NULL);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
