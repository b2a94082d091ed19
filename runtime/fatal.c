/*
 * fatal.c: what is done when a signal ends the process that nobody catches.
 *
 * Most of what the process holds goes with its descriptors. What does not (events in tracefs, how a terminal is set) is
 * taken away by functions that are called from the signal handler, so they may do nothing but system calls. After them
 * the signal takes its default action; so does a second one that comes meanwhile.
 */
#include "fatal.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE};
static void (*clean_ups[2])(void); /* one of legacy.c, one of prompt.c */
static size_t count;
static pid_t owner;

static void end(int signal)
{
    if (getpid() == owner) { /* a child that was forked off holds nothing of its own */
        for (size_t i = 0; i < count; i++)
            clean_ups[i]();
    }
    (void)raise(signal);
}

void lp_fatal_default(int signal)
{
    struct sigaction action = {.sa_handler = SIG_DFL};

    if (count > 0) {
        action.sa_handler = end;
        action.sa_flags = (int)SA_RESETHAND | (int)SA_NODEFER;
    }
    (void)sigaction(signal, &action, NULL);
}

static bool is_known(void (*function)(void))
{
    return (count > 0 && clean_ups[0] == function) || (count > 1 && clean_ups[1] == function);
}

void lp_fatal_catch(void (*function)(void))
{
    struct sigaction before;

    if (is_known(function) || count == sizeof(clean_ups) / sizeof(clean_ups[0]))
        return;
    clean_ups[count++] = function;
    owner = getpid();
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            lp_fatal_default(signals[i]);
    }
}
