/*
 * library.c: the path of a program or library by its short name: as a process has it mapped, or as the dynamic loader
 * would find it. Never from the current directory: scripts run as root.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "error.h"

/* "libc" means libc.so.6 and libc-2.31.so; "libc.so.6" and "bash" only themselves. */
static bool is_named(const char *file, const char *name)
{
    size_t length = strlen(name);
    const char *rest = file + length;

    if (strncmp(file, name, length) != 0)
        return false;
    if (*rest == '\0' || strncmp(rest, ".so", 3) == 0)
        return true;
    return *rest == '-' && isdigit((unsigned char)rest[1]) && strstr(rest, ".so");
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* ---- as a process sees it ------------------------------------------------------------------------------------- */

static int no_process(int pid)
{
    lp_error_set(ESRCH, "attach", "there is no process %d", pid);
    lp_error_hint("leave the process out to trace all that run the binary");
    return -ESRCH;
}

/* The process's own file system. */
static int below_root(int pid, const char *file, char *path, size_t size)
{
    int length = snprintf(path, size, "/proc/%d/root%s", pid, file);

    return length > 0 && (size_t)length < size ? 0 : lp_error_set(ENAMETOOLONG, "attach", "%s: is too long", file);
}

/* The path in a line of /proc/PID/maps that is executed: "5581-5582 r-xp 000 08:01 123   /usr/bin/bash"; NULL if none.
 */
static char *mapped_file(char *line)
{
    char *file = strchr(line, '/');
    char *permissions = strchr(line, ' ');

    if (!file || !permissions || permissions[3] != 'x')
        return NULL;
    file[strcspn(file, "\n")] = '\0';
    return file;
}

static int find_mapped(const char *name, int pid, char *path, size_t size)
{
    char maps[64];
    char *line = NULL;
    size_t room = 0;
    int error = -ENOENT;
    FILE *file;

    snprintf(maps, sizeof(maps), "/proc/%d/maps", pid);
    file = fopen(maps, "re");
    if (!file)
        return errno == ENOENT ? no_process(pid)
                               : lp_error_set(errno, "attach", "%s cannot be read: %s", maps, strerror(errno));
    while (error == -ENOENT && getline(&line, &room, file) > 0) {
        const char *mapped = mapped_file(line);

        if (!mapped || !is_named(base_name(mapped), name))
            continue;
        if (strstr(mapped, " (deleted)")) {
            error = lp_error_set(ESTALE, "attach", "%s: process %d runs %s, which was replaced on the disk since", name,
                                 pid, mapped);
            lp_error_hint("restart the process; a probe can only be put into the file that is there");
            break;
        }
        error = below_root(pid, mapped, path, size);
    }
    free(line);
    fclose(file);
    return error;
}

/* ---- as the dynamic loader sees it ---------------------------------------------------------------------------- */

/* /etc/ld.so.cache since glibc 2.2: sysdeps/generic/dl-cache.h. Older ones put another table before it. */
#define CACHE_MAGIC "glibc-ld.so.cache1.1"

struct cache_header {
    char magic[20];
    uint32_t entries;
    uint32_t strings_size;
    uint8_t flags, padding[3];
    uint32_t extension;
    uint32_t unused[3];
};

struct cache_entry {
    int32_t flags;       /* 3: ELF of libc 6; the next byte is the architecture */
    uint32_t name, path; /* offsets from the header */
    uint32_t os;
    uint64_t hardware;
};

#ifdef __aarch64__
enum { CACHE_FLAGS = 0x0a03 };
#else
enum { CACHE_FLAGS = 0x0303 };
#endif

/* A string inside the cache; NULL when the offset leads out of it. */
static const char *cache_string(const char *cache, size_t size, uint32_t offset)
{
    return offset < size && memchr(cache + offset, '\0', size - offset) ? cache + offset : NULL;
}

static int search_cache(const char *name, const char *cache, size_t size, char *path, size_t path_size)
{
    struct cache_header header;

    if (size < sizeof(header))
        return -ENOENT;
    memcpy(&header, cache, sizeof(header));
    for (uint32_t i = 0; i < header.entries; i++) {
        struct cache_entry entry;
        size_t offset = sizeof(header) + (size_t)i * sizeof(entry);
        const char *library;
        const char *file;

        if (offset + sizeof(entry) > size)
            break;
        memcpy(&entry, cache + offset, sizeof(entry));
        library = cache_string(cache, size, entry.name);
        file = cache_string(cache, size, entry.path);
        if (entry.flags != CACHE_FLAGS || !library || !file || !is_named(library, name) || strlen(file) >= path_size)
            continue;
        memcpy(path, file, strlen(file) + 1);
        return 0;
    }
    return -ENOENT;
}

static int find_in_cache(const char *name, char *path, size_t size)
{
    struct lp_bytes bytes;
    const char *start;
    int error = -ENOENT;
    int fd = open("/etc/ld.so.cache", O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || lp_bytes_read_stream(fd, &bytes) != 0) {
        if (fd >= 0)
            close(fd);
        return -ENOENT;
    }
    close(fd);
    start = memmem(bytes.data, bytes.size, CACHE_MAGIC, sizeof(CACHE_MAGIC) - 1);
    if (start)
        error = search_cache(name, start, bytes.size - (size_t)(start - bytes.data), path, size);
    lp_bytes_free(&bytes);
    return error;
}

/* ---- programs ------------------------------------------------------------------------------------------------- */

static int find_program(const char *name, char *path, size_t size)
{
    static const char *const directories[] = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
                                              "/usr/bin",        "/sbin",          "/bin"};

    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
        int length = snprintf(path, size, "%s/%s", directories[i], name);

        if (length > 0 && (size_t)length < size && access(path, F_OK) == 0)
            return 0;
    }
    return -ENOENT;
}

static int not_found(const char *name, int pid)
{
    lp_error_set(ENOENT, "attach", "there is no program or library '%s'", name);
    if (pid > 0)
        lp_error_hint("process %d has none of this name mapped, see /proc/%d/maps; give a path with a slash", pid, pid);
    else
        lp_error_hint(
            "it is neither in the dynamic loader's cache (ldconfig -p) nor a program in /usr/bin and its like; "
            "give a path with a slash");
    return -ENOENT;
}

/* A path as it is, for a process below its root. */
static int take_path(const char *name, int pid, char *path, size_t size)
{
    if (pid > 0) {
        char root[64];

        snprintf(root, sizeof(root), "/proc/%d", pid);
        if (access(root, F_OK) != 0)
            return no_process(pid);
        if (name[0] == '/')
            return below_root(pid, name, path, size);
    }
    if (strlen(name) >= size)
        return lp_error_set(ENAMETOOLONG, "attach", "%s: is too long", name);
    memcpy(path, name, strlen(name) + 1);
    return 0;
}

int lp_library_find(const char *name, int pid, char *path, size_t size)
{
    int error = -ENOENT;

    if (strchr(name, '/'))
        return take_path(name, pid, path, size);
    if (pid > 0)
        error = find_mapped(name, pid, path, size);
    if (error != -ENOENT)
        return error;
    if (pid > 0)
        return not_found(name, pid);
    if (find_in_cache(name, path, size) == 0 || find_program(name, path, size) == 0)
        return 0;
    return not_found(name, pid);
}
