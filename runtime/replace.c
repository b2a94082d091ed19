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

/*
 * The file behind symbolic links, and who and what it is; `status` is left as it was when there is none. What is no
 * file (a device, a FIFO, a directory) must not be replaced by one.
 */
static int real_target(const char *path, char *real, struct stat *status)
{
    struct stat found;

    if (stat(path, &found) != 0) {
        if (errno != ENOENT)
            return refused(path, errno);
        if (lstat(path, &found) == 0)
            return lp_error_set(ENOENT, "write", "%s: is a symbolic link to a file that is not there", path);
        if (snprintf(real, PATH_MAX, "%s", path) >= PATH_MAX)
            return refused(path, ENAMETOOLONG);
        return 0;
    }
    if (S_ISDIR(found.st_mode))
        return refused(path, EISDIR);
    if (!S_ISREG(found.st_mode))
        return lp_error_set(EINVAL, "write", "%s: is not a file; write to standard output with -", path);
    if (!realpath(path, real))
        return refused(path, errno);
    *status = found;
    return 0;
}

static mode_t current_umask(void)
{
    mode_t mask = umask(077);

    umask(mask);
    return mask;
}

/* The owner of the file that is replaced keeps it, where root may say so; then its permissions, which that takes away.
 */
static int set_owner_and_mode(int fd, const struct stat *status)
{
    if (geteuid() == 0 && (status->st_uid != 0 || status->st_gid != 0) &&
        fchown(fd, status->st_uid, status->st_gid) != 0)
        return -errno;
    return fchmod(fd, status->st_mode & 0777) == 0 ? 0 : -errno;
}

int lp_file_replace(const char *path, const void *data, size_t size, uint32_t mode)
{
    struct stat status = {.st_mode = mode & ~current_umask(), .st_uid = geteuid(), .st_gid = getegid()};
    char real[PATH_MAX];
    char temporary[PATH_MAX + 32];
    int error = real_target(path, real, &status);
    int fd;

    if (error)
        return error;
    snprintf(temporary, sizeof(temporary), "%s.%d.new", real, (int)getpid());
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return refused(path, errno);
    error = lp_bytes_write(fd, data, size);
    if (!error)
        error = set_owner_and_mode(fd, &status);
    if (!error && fsync(fd) != 0)
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
