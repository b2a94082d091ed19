/* replace.c: writing a file that users name, whole or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "error.h"

static int refused(const char *path, int code)
{
    return lp_error_set(code, "write", "%s: cannot be written: %s", path, strerror(code));
}

/* The file behind symbolic links. What is no file (a device, a FIFO, a directory) must not be replaced by one. */
static int real_target(const char *path, char *real, uint32_t *mode)
{
    struct stat status;

    if (stat(path, &status) != 0) {
        if (errno != ENOENT || lstat(path, &status) == 0)
            return refused(path, errno == ENOENT ? ELOOP : errno);
        if (snprintf(real, PATH_MAX, "%s", path) >= PATH_MAX)
            return refused(path, ENAMETOOLONG);
        return 0;
    }
    if (S_ISDIR(status.st_mode))
        return refused(path, EISDIR);
    if (!S_ISREG(status.st_mode))
        return lp_error_set(EINVAL, "write", "%s: is not a file; write to standard output with -", path);
    if (!realpath(path, real))
        return refused(path, errno);
    if (*mode == 0)
        *mode = status.st_mode & 0777;
    return 0;
}

int lp_file_replace(const char *path, const void *data, size_t size, uint32_t mode)
{
    char real[PATH_MAX];
    char temporary[PATH_MAX + 32];
    int error = real_target(path, real, &mode);
    int fd;

    if (error)
        return error;
    snprintf(temporary, sizeof(temporary), "%s.%d.new", real, (int)getpid());
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return refused(path, errno);
    error = lp_bytes_write(fd, data, size);
    if (!error && (fchmod(fd, mode ? mode : 0644) != 0 || fsync(fd) != 0))
        error = -errno;
    if (close(fd) != 0 && !error)
        error = -errno;
    if (!error && rename(temporary, real) != 0)
        error = -errno;
    if (!error)
        return 0;
    (void)unlink(temporary);
    return refused(path, -error);
}

int lp_file_mode(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 ? (int)(status.st_mode & 0777) : -errno;
}
