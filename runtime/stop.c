/*
 * stop.c: what ends an event loop.
 *
 * A handler only sets a flag, which the loop reads between batches: a Lua hook set from a signal handler would not
 * stop code that the JIT compiled. The handler is for one signal only (SA_RESETHAND), so a second Ctrl-C always ends
 * the process, whatever the script is doing.
 */
#include <signal.h>
#include <stddef.h>

#include "fatal.h"
#include "luaprobe.h"
#include "stop.h"

static volatile sig_atomic_t pending;
static bool caught;

static void remember(int signal)
{
    pending = signal;
    /* Both take their default action from now on. */
    lp_fatal_default(SIGINT);
    lp_fatal_default(SIGTERM);
}

/*
 * No SA_RESTART: a script that waits in io.read shall wake up as well. A signal that the parent left ignored (a shell
 * script does that to the SIGINT of what it starts with &) is caught all the same, as other tracers do: who sends it
 * by kill means it.
 */
static void catch_one(int signal)
{
    (void)sigaction(signal, &(struct sigaction){.sa_handler = remember, .sa_flags = (int)SA_RESETHAND}, NULL);
}

bool lp_stop_catch(void)
{
    if (caught)
        return false;
    caught = true;
    catch_one(SIGINT);
    catch_one(SIGTERM);
    return true;
}

int lp_stop_pending(void)
{
    return pending;
}

void lp_stop_output_closed(void)
{
    if (!pending)
        pending = SIGPIPE;
}

void lp_stop_release(void)
{
    if (!caught)
        return;
    caught = false;
    lp_fatal_default(SIGINT);
    lp_fatal_default(SIGTERM);
}
