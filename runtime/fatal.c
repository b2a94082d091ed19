/*
 * fatal.c: what is done when a signal ends the process that nobody catches.
 *
 * Most of what the process holds goes with its descriptors. What does not (events in tracefs) is taken away by a
 * function that is called from the signal handler, so it may do nothing but system calls. After it the signal takes its
 * default action; so does a second one that comes meanwhile.
 */
#include "fatal.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE};
static void (*clean_up)(void);
static pid_t owner;

static void end(int signal)
{
    if (getpid() == owner) /* a child that was forked off holds nothing of its own */
        clean_up();
    (void)raise(signal);
}

void lp_fatal_default(int signal)
{
    struct sigaction action = {.sa_handler = SIG_DFL};

    if (clean_up) {
        action.sa_handler = end;
        action.sa_flags = (int)SA_RESETHAND | (int)SA_NODEFER;
    }
    (void)sigaction(signal, &action, NULL);
}

void lp_fatal_catch(void (*function)(void))
{
    struct sigaction before;

    clean_up = function;
    owner = getpid();
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            lp_fatal_default(signals[i]);
    }
}
