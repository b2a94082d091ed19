/*
 * history.c: the lines that were typed at the prompt, over sessions.
 *
 * A file that only its owner can read, a line each, added to as they are typed: what several sessions type is all kept,
 * also when they are killed. It is made shorter when it has become twice as long as what is remembered.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "prompt.h"

enum { REMEMBERED = 1000 };

static char *file_path;
static char problem[512]; /* why nothing is kept; "": it is */

/* Makes the directories that the path lies in, private as the file. */
static void make_directories(const char *path)
{
    char *copy = strdup(path);

    if (!copy)
        return;
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(copy, 0700);
        *slash = '/';
    }
    free(copy);
}

static FILE *refuse(int fd, const char *why)
{
    if (fd >= 0)
        close(fd);
    snprintf(problem, sizeof(problem), "%s: %s", file_path, why);
    return NULL;
}

/* O_NOFOLLOW: the file is root's mostly, and not to be somebody else's choice. O_NONBLOCK: it may be a FIFO. */
static FILE *open_file(int flags, const char *mode)
{
    int fd = open(file_path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    struct stat status;
    FILE *file;

    if (fd < 0)
        return refuse(fd, errno == ELOOP ? "it is a symbolic link" : strerror(errno));
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        return refuse(fd, "it is no regular file");
    if (status.st_uid != geteuid())
        return refuse(fd, "it belongs to somebody else");
    (void)fchmod(fd, 0600);
    file = fdopen(fd, mode);
    if (!file)
        close(fd);
    return file;
}

static void remember(History *lines, const char *line)
{
    HistEvent event;

    history(lines, &event, H_ENTER, line);
}

/* How many lines there are in the file, all of which are remembered, the last ones in the end. */
static int read_file(History *lines)
{
    FILE *file = open_file(O_RDWR | O_CREAT, "r");
    char *line = NULL;
    size_t size = 0;
    int count = 0;

    if (!file)
        return 0;
    for (; getline(&line, &size, file) > 0; count++) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '\0')
            remember(lines, line);
    }
    free(line);
    fclose(file);
    return count;
}

static void write_file(History *lines)
{
    FILE *file = open_file(O_WRONLY | O_TRUNC, "w");
    HistEvent event;

    if (!file)
        return;
    for (int more = history(lines, &event, H_LAST); more != -1; more = history(lines, &event, H_PREV))
        fprintf(file, "%s\n", event.str);
    fclose(file);
}

History *lp_history_open(const char *path)
{
    History *lines = history_init();
    HistEvent event;

    if (!lines)
        return NULL;
    history(lines, &event, H_SETSIZE, REMEMBERED);
    history(lines, &event, H_SETUNIQUE, 1);
    file_path = path ? strdup(path) : NULL;
    snprintf(problem, sizeof(problem), "%s", path ? "" : "neither XDG_STATE_HOME nor HOME is a directory's full path");
    if (file_path) {
        make_directories(file_path);
        if (read_file(lines) > 2 * REMEMBERED)
            write_file(lines);
    }
    return lines;
}

const char *lp_history_problem(void)
{
    return problem[0] != '\0' ? problem : NULL;
}

void lp_history_add(History *lines, const char *line)
{
    FILE *file;

    if (line[strspn(line, " \t")] == '\0')
        return;
    remember(lines, line);
    file = file_path ? open_file(O_WRONLY | O_APPEND | O_CREAT, "a") : NULL;
    if (!file)
        return;
    fprintf(file, "%s\n", line);
    fclose(file);
}

void lp_history_close(History *lines)
{
    if (lines)
        history_end(lines);
    free(file_path);
    file_path = NULL;
}
