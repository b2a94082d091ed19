/*
 * stop.c: what ends an event loop.
 *
 * A handler only sets a flag, which the loop reads between batches: a Lua hook set from a signal handler would not
 * stop code that the JIT compiled. The handler is for one signal only, so a second Ctrl-C always ends the process,
 * whatever the script is doing; at the prompt it ends what was typed.
 */
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "fatal.h"
#include "luaprobe.h"
#include "stop.h"

static volatile sig_atomic_t pending;
static bool caught;
static volatile sig_atomic_t is_noted; /* that standard output's reader is gone, outside of loops */
/* What SIGINT does outside of loops, and the second time in them; NULL: its default. */
static void (*on_interrupt)(int);

static void set_handler(int signal, void (*handler)(int))
{
    (void)sigaction(signal, &(struct sigaction){.sa_handler = handler}, NULL);
}

static void outside_of_loops(void)
{
    if (on_interrupt)
        set_handler(SIGINT, on_interrupt);
    else
        lp_fatal_default(SIGINT);
    lp_fatal_default(SIGTERM);
}

static void remember(int signal)
{
    pending = signal;
    outside_of_loops(); /* from now on */
}

/*
 * No SA_RESTART: a script that waits in io.read shall wake up as well. A signal that the parent left ignored (a shell
 * script does that to the SIGINT of what it starts with &) is caught all the same, as other tracers do: who sends it
 * by kill means it.
 */
static void catch_one(int signal)
{
    set_handler(signal, remember);
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

void lp_stop_note(int signal)
{
    pending = signal;
}

void lp_stop_output_closed(void)
{
    if (!pending)
        pending = SIGPIPE;
}

/*
 * Nobody reads what is printed any more. Outside of a loop the first time is only noted: these are a script's last
 * lines, behind which what was lost is told. Whoever goes on printing is ended by the signal, as anybody is whose other
 * pipe was closed.
 */
static void on_closed_pipe(int signal)
{
    struct pollfd output = {.fd = STDOUT_FILENO};
    bool is_output = poll(&output, 1, 0) == 1 && (output.revents & POLLERR);

    if (is_output && (caught || !is_noted)) {
        is_noted = is_noted || !caught;
        pending = SIGPIPE;
        return;
    }
    lp_fatal_default(signal);
    (void)raise(signal);
}

void lp_stop_watch_output(void)
{
    set_handler(SIGPIPE, on_closed_pipe);
}

void lp_stop_release(void)
{
    if (!caught)
        return;
    caught = false;
    outside_of_loops();
}

void lp_stop_forget(void)
{
    pending = 0;
}

void lp_stop_on_interrupt(void (*handler)(int))
{
    on_interrupt = handler;
    if (!caught)
        outside_of_loops();
}
