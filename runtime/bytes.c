/*
 * bytes.c: whole files, from the disk or from inside the binary.
 *
 * The build writes the table lp_embedded_files: the Lua library as bytecode, the scripts and the BPF objects.
 */
#include "bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"

ssize_t lp_bytes_read_fully(int fd, char *data, size_t size)
{
    size_t have = 0;

    while (have < size) {
        ssize_t got = read(fd, data + have, size - have);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        have += (size_t)got;
    }
    return (ssize_t)have;
}

static const char *file_type(mode_t mode)
{
    return S_ISDIR(mode) ? "a directory" : S_ISFIFO(mode) ? "a FIFO" : S_ISSOCK(mode) ? "a socket" : "a device";
}

int lp_bytes_read(const char *path, size_t limit, struct lp_bytes *out)
{
    struct stat status;
    char *data = NULL;
    ssize_t size;
    int error;
    /* O_NONBLOCK: opening a FIFO nobody writes to would wait for ever. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 && errno == ENXIO && stat(path, &status) == 0 && S_ISSOCK(status.st_mode))
        return lp_error_set(ENXIO, "read", "%s: is %s, not a file", path, file_type(status.st_mode));
    if (fd < 0)
        return lp_error_set(errno, "read", "%s: %s", path, strerror(errno));
    if (fstat(fd, &status) != 0) {
        error = lp_error_set(errno, "read", "%s: %s", path, strerror(errno));
        goto fail;
    }
    if (!S_ISREG(status.st_mode)) {
        error = lp_error_set(EINVAL, "read", "%s: is %s, not a file", path, file_type(status.st_mode));
        goto fail;
    }
    if ((uint64_t)status.st_size > limit) {
        error = lp_error_set(EFBIG, "read", "%s: has %lld bytes, more than the %zu that such a file may have", path,
                             (long long)status.st_size, limit);
        goto fail;
    }
    data = malloc((size_t)status.st_size + 1);
    if (!data) {
        error = lp_error_set(ENOMEM, "read", "%s: no memory for its %lld bytes", path, (long long)status.st_size);
        goto fail;
    }
    size = lp_bytes_read_fully(fd, data, (size_t)status.st_size);
    if (size < 0) {
        error = lp_error_set((int)-size, "read", "%s: %s", path, strerror((int)-size));
        goto fail;
    }
    close(fd);
    out->data = data;
    out->size = (size_t)size;
    return 0;

fail:
    free(data);
    close(fd);
    return error;
}

/* Leaves only the lines that contain a text; returns how many bytes they have. The last line may lack its end. */
static size_t keep_lines(char *text, size_t size, const char *containing)
{
    char *end = text + size;
    char *line = text; /* the first that was not looked at */
    char *kept = text;
    char *found;

    if (containing[0] == '\0')
        return size; /* all contain that */
    while ((found = memmem(line, (size_t)(end - line), containing, strlen(containing)))) {
        char *before = memrchr(line, '\n', (size_t)(found - line));
        char *newline = memchr(found, '\n', (size_t)(end - found));
        char *next = newline ? newline + 1 : end;

        line = before ? before + 1 : line;
        memmove(kept, line, (size_t)(next - line));
        kept += next - line;
        line = next;
    }
    return (size_t)(kept - text);
}

/* The bytes up to the last line's end. */
static size_t whole_lines(const char *text, size_t size)
{
    const char *newline = memrchr(text, '\n', size);

    return newline ? (size_t)(newline + 1 - text) : 0;
}

int lp_bytes_read_lines(int fd, const char *containing, struct lp_bytes *out)
{
    enum { CHUNK = 1 << 16 };
    size_t room = (size_t)2 * CHUNK;
    size_t kept = 0;
    size_t size = 0; /* what follows what is kept is not looked at yet */
    char *data = malloc(room);
    ssize_t got = 0;

    while (data && (got = lp_bytes_read_fully(fd, data + size, CHUNK - 1)) > 0) {
        size_t whole = whole_lines(data + kept, size + (size_t)got - kept);
        size_t rest = size + (size_t)got - kept - whole;
        size_t fit = keep_lines(data + kept, whole, containing);
        char *larger = data;

        memmove(data + kept + fit, data + kept + whole, rest);
        kept += fit;
        size = kept + rest;
        if (size + CHUNK > room)
            larger = realloc(data, room *= 2);
        if (!larger)
            free(data);
        data = larger;
    }
    if (!data || got < 0) {
        free(data);
        return got < 0 ? (int)got : -ENOMEM;
    }
    kept += keep_lines(data + kept, size - kept, containing);
    data[kept] = '\0';
    *out = (struct lp_bytes){data, kept};
    return 0;
}

int lp_bytes_read_stream(int fd, struct lp_bytes *out)
{
    return lp_bytes_read_lines(fd, "", out);
}

int lp_bytes_write(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, data, size);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        data += written;
        size -= (size_t)written;
    }
    return 0;
}

void lp_bytes_free(struct lp_bytes *bytes)
{
    free((void *)bytes->data);
    bytes->data = NULL;
    bytes->size = 0;
}

bool lp_bytes_embedded(const char *name, struct lp_bytes *out)
{
    for (const struct lp_embedded *file = lp_embedded_files; file->name; file++) {
        if (strcmp(file->name, name) == 0) {
            out->data = file->begin;
            out->size = (size_t)(file->end - file->begin);
            return true;
        }
    }
    return false;
}

const char *lp_bytes_embedded_name(int i)
{
    for (const struct lp_embedded *file = lp_embedded_files; file->name; file++) {
        if (i-- == 0)
            return file->name;
    }
    return NULL;
}
