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

int lp_bytes_read_stream(int fd, struct lp_bytes *out)
{
    size_t capacity = 1 << 16;
    size_t size = 0;
    ssize_t got = 0;
    char *data = malloc(capacity);

    while (data && (got = lp_bytes_read_fully(fd, data + size, capacity - size - 1)) > 0) {
        char *larger;

        size += (size_t)got;
        if (size + 1 < capacity)
            continue;
        larger = realloc(data, capacity *= 2);
        if (!larger)
            free(data);
        data = larger;
    }
    if (!data || got < 0) {
        free(data);
        return got < 0 ? (int)got : -ENOMEM;
    }
    data[size] = '\0';
    *out = (struct lp_bytes){data, size};
    return 0;
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
