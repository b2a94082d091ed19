/* output.c: standard output, which may be a full disk or a pipe that nobody reads any more. */
#include "output.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "luaprobe.h"

static int refused; /* errno of the first flush that failed; stdio remembers only that one did */

void lp_output_flush(void)
{
    if (fflush(stdout) != 0 && !refused)
        refused = errno;
}

void lp_output_check(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    if (lp_stop_pending() == SIGPIPE)
        return;
    lp_output_flush();
    if ((!refused && !ferror(stdout)) || refused == EPIPE)
        return;
    fprintf(stderr, "luaprobe: standard output cannot be written: %s\n", strerror(refused ? refused : EIO));
    _exit(EXIT_FAILURE);
}
