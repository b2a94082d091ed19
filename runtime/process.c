/* process.c: running another program to its end, without a shell: clang. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "error.h"

enum { OUTPUT_LIMIT = 1 << 20 }; /* bytes; what is more is thrown away */

/* Standard input is empty, standard output and error go to the pipe; everything else is closed on exec. */
static int spawn(const char *const *words, int pipe_end, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    int error;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, pipe_end, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, pipe_end, STDERR_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    error = posix_spawnp(pid, words[0], &actions, &attributes, (char *const *)words, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* All that comes, of which the first OUTPUT_LIMIT bytes are kept. */
static size_t read_output(int fd, char *output)
{
    char rest[4096];
    size_t size = 0;
    ssize_t got;

    do {
        bool room = size < OUTPUT_LIMIT;

        got = read(fd, room ? output + size : rest, room ? OUTPUT_LIMIT - size : sizeof(rest));
        if (got > 0 && room)
            size += (size_t)got;
    } while (got > 0 || (got < 0 && errno == EINTR));
    return size;
}

int lp_process_run(const char *const *words, struct lp_bytes *output, int *status)
{
    char *text = malloc(OUTPUT_LIMIT + 1);
    int ends[2];
    pid_t pid;
    int error;

    if (!text || pipe2(ends, O_CLOEXEC) != 0) {
        free(text);
        return lp_error_set(text ? errno : ENOMEM, "compile", "%s: cannot be started: %s", words[0], strerror(errno));
    }
    error = spawn(words, ends[1], &pid);
    close(ends[1]);
    if (error) {
        close(ends[0]);
        free(text);
        return lp_error_set(error, "compile", "%s: cannot be started: %s", words[0], strerror(error));
    }
    output->data = text;
    output->size = read_output(ends[0], text);
    close(ends[0]);
    *status = 0;
    while (waitpid(pid, status, 0) < 0 && errno == EINTR)
        ;
    *status = WIFEXITED(*status) ? WEXITSTATUS(*status) : 128 + WTERMSIG(*status);
    return 0;
}
