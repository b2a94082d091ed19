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

/* A part of a file that a process has mapped to be executed, by a line of /proc/PID/maps. */
struct mapping {
    const char *file; /* its path */
    bool replaced;    /* that path now is another file, or none */
    char range[64];   /* of addresses, as the line begins */
};

static const char replaced_mark[] = " (deleted)";

/* Reads "5581-5582 r-xp 000 08:01 123   /usr/bin/bash (deleted)"; false when it is no such mapping. */
static bool read_mapping(char *line, struct mapping *out)
{
    char *file = strchr(line, '/');
    char *permissions = strchr(line, ' ');
    size_t length;

    if (!file || !permissions || permissions[3] != 'x')
        return false;
    file[strcspn(file, "\n")] = '\0';
    length = strlen(file);
    out->file = file;
    snprintf(out->range, sizeof(out->range), "%.*s", (int)(permissions - line), line);
    out->replaced =
        length >= sizeof(replaced_mark) && strcmp(file + length - sizeof(replaced_mark) + 1, replaced_mark) == 0;
    if (out->replaced)
        file[length - sizeof(replaced_mark) + 1] = '\0';
    return true;
}

/* What is looked for: a short name, or a path and what that is behind links. */
struct sought {
    const char *name;
    const char *path;
    const char *real;
};

static bool is_sought(const struct sought *sought, const char *file)
{
    if (sought->name)
        return is_named(base_name(file), sought->name);
    return strcmp(file, sought->path) == 0 || (sought->real && strcmp(file, sought->real) == 0);
}

/* The file that is mapped, also when its path has become another one's: the kernel still knows it by the mapping. */
static int path_of_mapping(const struct mapping *mapping, int pid, char *path, size_t size)
{
    int length;

    if (!mapping->replaced)
        return below_root(pid, mapping->file, path, size);
    length = snprintf(path, size, "/proc/%d/map_files/%s", pid, mapping->range);
    if (length < 0 || (size_t)length >= size)
        return lp_error_set(ENAMETOOLONG, "attach", "%s: is too long", mapping->file);
    if (access(path, R_OK) == 0)
        return 0;
    lp_error_set(ESTALE, "attach", "%s: process %d runs a file that was replaced on the disk since", mapping->file,
                 pid);
    lp_error_hint("restart the process, or let this run as root, which can reach the old file");
    return -ESTALE;
}

/* The first mapping that is sought. -ENOENT, without an error set, when there is none. */
static int find_mapped(const struct sought *sought, int pid, char *path, size_t size)
{
    char maps[64];
    char *line = NULL;
    size_t room = 0;
    int error = -ENOENT;
    struct mapping mapping;
    FILE *file;

    snprintf(maps, sizeof(maps), "/proc/%d/maps", pid);
    file = fopen(maps, "re");
    if (!file)
        return errno == ENOENT ? no_process(pid)
                               : lp_error_set(errno, "attach", "%s cannot be read: %s", maps, strerror(errno));
    while (error == -ENOENT && getline(&line, &room, file) > 0) {
        if (read_mapping(line, &mapping) && is_sought(sought, mapping.file))
            error = path_of_mapping(&mapping, pid, path, size);
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

/* An absolute path as the process has it: the file that it runs, or the one below its root. */
static int take_path_of_process(const char *name, int pid, char *path, size_t size)
{
    struct sought sought = {.path = name, .real = realpath(name, NULL)};
    int error = find_mapped(&sought, pid, path, size);

    free((char *)sought.real);
    return error == -ENOENT ? below_root(pid, name, path, size) : error;
}

/* A path as it is, or of a process. */
static int take_path(const char *name, int pid, char *path, size_t size)
{
    if (pid > 0) {
        char root[64];

        snprintf(root, sizeof(root), "/proc/%d", pid);
        if (access(root, F_OK) != 0)
            return no_process(pid);
        if (name[0] == '/')
            return take_path_of_process(name, pid, path, size);
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
        error = find_mapped(&(struct sought){.name = name}, pid, path, size);
    if (error != -ENOENT)
        return error;
    if (pid > 0)
        return not_found(name, pid);
    if (find_in_cache(name, path, size) == 0 || find_program(name, path, size) == 0)
        return 0;
    return not_found(name, pid);
}
