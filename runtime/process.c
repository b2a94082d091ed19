/*
 * process.c: running another program to its end, without a shell: clang.
 *
 * The text it is given may be a stranger's, and can make it run for ever or wait for ever. So it has a deadline, Ctrl-C
 * ends it, and it does not outlive luaprobe, however that ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "error.h"

enum {
    OUTPUT_LIMIT = 1 << 20, /* bytes; what is more is thrown away */
    LOOK_AROUND = 50,       /* milliseconds between looks at the deadline and at what Ctrl-C asked for */
    CANNOT_RUN = 127,
};

struct process {
    pid_t pid;
    int output; /* the end of a pipe */
    int64_t deadline;
};

/*
 * What in the environment makes clang take other flags than it is given, or write files. Where it looks for headers
 * (CPATH) may be said there: that shows in what it reads.
 */
static const char *const kept_away[] = {"CCC_OVERRIDE_OPTIONS", "DEPENDENCIES_OUTPUT", "SUNPRO_DEPENDENCIES",
                                        "CC_PRINT_OPTIONS",     "CC_PRINT_HEADERS",    "CC_LOG_DIAGNOSTICS",
                                        "CC_PRINT_PROC_STAT"};

static void become(const char *const *words, int output, int failure, pid_t parent)
{
    sigset_t none;
    int error;

    sigemptyset(&none);
    /* Ends with luaprobe, also by SIGKILL; what was ignored or blocked there is not here. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(CANNOT_RUN);
    setpgid(0, 0); /* with what it starts in turn it is ended as one */
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (size_t i = 0; i < sizeof(kept_away) / sizeof(kept_away[0]); i++)
        unsetenv(kept_away[i]);
    close(STDIN_FILENO);
    if (open("/dev/null", O_RDONLY) == STDIN_FILENO && dup2(output, STDOUT_FILENO) >= 0 &&
        dup2(output, STDERR_FILENO) >= 0)
        execvp(words[0], (char *const *)words);
    error = errno;
    (void)!write(failure, &error, sizeof(error));
    _exit(CANNOT_RUN);
}

/* Starts it; 0 or an errno. The descriptors that we keep are closed there on exec. */
static int start(const char *const *words, struct process *process)
{
    pid_t parent = getpid();
    int output[2], failure[2];
    int error = 0;

    if (pipe2(output, O_CLOEXEC) != 0)
        return errno;
    if (pipe2(failure, O_CLOEXEC) != 0) {
        error = errno;
        close(output[0]);
        close(output[1]);
        return error;
    }
    process->output = output[0];
    process->pid = fork();
    if (process->pid == 0)
        become(words, output[1], failure[1], parent);
    if (process->pid < 0)
        error = errno;
    close(output[1]);
    close(failure[1]);
    /* Nothing comes from a program that runs. */
    if (process->pid > 0 && read(failure[0], &error, sizeof(error)) > 0)
        (void)waitpid(process->pid, NULL, 0);
    close(failure[0]);
    if (error)
        close(output[0]);
    return error;
}

/* Whether it may go on. */
static bool has_time(const struct process *process)
{
    return !lp_stop_pending() && lp_time_monotonic() < process->deadline;
}

/* All that it prints, of which the first OUTPUT_LIMIT bytes are kept. */
static size_t read_output(const struct process *process, char *output)
{
    struct pollfd poller = {.fd = process->output, .events = POLLIN};
    char rest[4096];
    size_t size = 0;

    while (has_time(process)) {
        bool room = size < OUTPUT_LIMIT;
        ssize_t got;

        if (poll(&poller, 1, LOOK_AROUND) <= 0)
            continue;
        got = read(process->output, room ? output + size : rest, room ? OUTPUT_LIMIT - size : sizeof(rest));
        if (got == 0)
            break;
        if (got > 0 && room)
            size += (size_t)got;
    }
    return size;
}

/* Its status, as waitpid has it. It may go on after it has closed its output, and then has to be looked for. */
static int end(const struct process *process)
{
    int status = 0;

    while (has_time(process)) {
        if (waitpid(process->pid, &status, WNOHANG) != 0)
            return status;
        poll(NULL, 0, 1);
    }
    kill(-process->pid, SIGKILL);
    while (waitpid(process->pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

int lp_process_run(const char *const *words, int seconds, struct lp_bytes *output, int *status)
{
    struct process process = {.deadline = lp_time_monotonic() + seconds * INT64_C(1000000000)};
    char *text = malloc(OUTPUT_LIMIT + 1);
    int error = text ? start(words, &process) : ENOMEM;

    if (error) {
        free(text);
        return lp_error_set(error, "compile", "%s: cannot be started: %s", words[0], strerror(error));
    }
    output->data = text;
    output->size = read_output(&process, text);
    *status = end(&process);
    close(process.output);
    if (WIFSIGNALED(*status) && WTERMSIG(*status) == SIGKILL && lp_time_monotonic() >= process.deadline) {
        lp_bytes_free(output);
        return lp_error_set(ETIMEDOUT, "compile", "%s: did not come to an end within %d seconds, and was ended",
                            words[0], seconds);
    }
    *status = WIFEXITED(*status) ? WEXITSTATUS(*status) : 128 + WTERMSIG(*status);
    return 0;
}
