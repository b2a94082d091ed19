/*
 * directory.c: directories that are this user's alone: the cache of compiled objects, and temporary ones.
 *
 * What is in them is loaded into the kernel by root, so a directory that somebody else made, can write to, or put a
 * symbolic link in place of, is refused. Files come into being under a name of their own and are renamed when they are
 * whole: a reader sees all of a file or none, however many processes write the same one.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "error.h"

static int refused(const char *path, int code, const char *why)
{
    lp_error_set(code, "cache", "%s: %s", path, why);
    lp_error_hint("remove it, or name another place for caches: XDG_CACHE_HOME=DIRECTORY");
    return -code;
}

/* Makes the directories above the last one. */
static void make_parents(const char *path)
{
    char part[PATH_MAX];

    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
        (void)mkdir(part, 0700);
    }
}

int lp_directory_open_private(const char *path)
{
    struct stat status;
    int fd;

    make_parents(path);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return lp_error_set(errno, "cache", "%s: cannot be made: %s", path, strerror(errno));
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
        return refused(path, EPERM, "is a symbolic link, or no directory");
    if (fd < 0)
        return lp_error_set(errno, "cache", "%s: %s", path, strerror(errno));
    if (fstat(fd, &status) != 0 || status.st_uid != geteuid()) {
        close(fd);
        return refused(path, EPERM, "belongs to somebody else");
    }
    if (status.st_mode & (S_IWGRP | S_IWOTH)) {
        close(fd);
        return refused(path, EPERM, "others can write to it");
    }
    /* Made by a program that let others read. */
    if (status.st_mode & 077)
        (void)fchmod(fd, 0700);
    return fd;
}

void lp_directory_close(int directory)
{
    close(directory);
}

/* The files in a directory and the directories below it, which hold files only. */
static void remove_entries(int directory, int depth)
{
    DIR *list = fdopendir(dup(directory));
    const struct dirent *entry;

    if (!list)
        return;
    while ((entry = readdir(list))) {
        int inner;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(directory, entry->d_name, 0) == 0 || depth == 0)
            continue;
        inner = openat(directory, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inner < 0)
            continue;
        remove_entries(inner, depth - 1);
        close(inner);
        (void)unlinkat(directory, entry->d_name, AT_REMOVEDIR);
    }
    closedir(list);
}

static const char temporary_prefix[] = "luaprobe-compile-";

/*
 * Whether a directory in `parent` is a temporary one of this user's that nobody uses: who does holds a lock, which ends
 * with the process. Its descriptor, or -1.
 */
static int open_deserted(int parent, const char *name)
{
    struct stat status;
    int fd;

    if (strncmp(name, temporary_prefix, strlen(temporary_prefix)) != 0)
        return -1;
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &status) == 0 && status.st_uid == geteuid() && flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static void remove_deserted(const char *path)
{
    DIR *parent = opendir(path);
    const struct dirent *entry;

    while (parent && (entry = readdir(parent))) {
        int fd = open_deserted(dirfd(parent), entry->d_name);

        if (fd < 0)
            continue;
        remove_entries(fd, 2);
        close(fd);
        (void)unlinkat(dirfd(parent), entry->d_name, AT_REMOVEDIR);
    }
    if (parent)
        closedir(parent);
}

int lp_directory_make_temporary(char *path, size_t size)
{
    const char *parent = getenv("TMPDIR");

    if (!parent || parent[0] != '/')
        parent = "/tmp";
    remove_deserted(parent);
    /* Between making and locking another may have taken it for deserted. */
    for (int i = 0; i < 100; i++) {
        struct stat status;
        int fd;

        snprintf(path, size, "%s/%sXXXXXX", parent, temporary_prefix);
        if (!mkdtemp(path))
            break;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &status) == 0 && status.st_nlink > 0)
            return fd;
        if (fd >= 0)
            close(fd);
    }
    return lp_error_set(errno, "compile", "%s: a temporary directory cannot be made: %s", path, strerror(errno));
}

void lp_directory_remove(const char *path, int directory)
{
    remove_entries(directory, 2);
    close(directory);
    (void)rmdir(path);
}

/* A name that no other process, and no earlier call of this one, uses. */
static void temporary_name(const char *name, char *out, size_t size)
{
    static unsigned serial;

    snprintf(out, size, "%s.%d.%u.new", name, (int)getpid(), ++serial);
}

int lp_directory_write(int directory, const char *name, const void *data, size_t size, bool durable)
{
    char temporary[NAME_MAX + 1];
    int error;
    int fd;

    temporary_name(name, temporary, sizeof(temporary));
    fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return lp_error_set(errno, "cache", "%s: cannot be written: %s", name, strerror(errno));
    error = lp_bytes_write(fd, data, size);
    if (!error && durable && fsync(fd) != 0)
        error = -errno;
    if (close(fd) != 0 && !error)
        error = -errno;
    if (!error && renameat(directory, temporary, directory, name) != 0)
        error = -errno;
    if (!error)
        return 0;
    (void)unlinkat(directory, temporary, 0);
    return lp_error_set(-error, "cache", "%s: cannot be written: %s", name, strerror(-error));
}

int lp_directory_read(int directory, const char *name, size_t limit, struct lp_bytes *out)
{
    char path[64 + NAME_MAX];
    struct stat status;

    if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return -errno;
    if (!S_ISREG(status.st_mode) || status.st_uid != geteuid())
        return -EPERM;
    snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", directory, name);
    return lp_bytes_read(path, limit, out);
}
