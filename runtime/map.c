/*
 * map.c: the entries of BPF maps, one at a time.
 *
 * Values of per-CPU maps take lp_map_stride bytes for each possible CPU, one after the other; all others their size.
 */
#include "map.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "btf.h"
#include "error.h"

bool lp_map_is_per_cpu(uint32_t type)
{
    return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
           type == BPF_MAP_TYPE_LRU_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

uint32_t lp_map_stride(uint32_t type, uint32_t value_size)
{
    return lp_map_is_per_cpu(type) ? (value_size + 7) / 8 * 8 : value_size;
}

uint32_t lp_map_cpus(uint32_t type)
{
    int cpus = lp_map_is_per_cpu(type) ? libbpf_num_possible_cpus() : 1;

    return cpus > 0 ? (uint32_t)cpus : 1;
}

/* What the kernel's refusals mean; 524 is its ENOTSUPP, which no libc knows. */
int lp_map_explain(int error)
{
    switch (error) {
    case -ENOTSUPP:
    case -EOPNOTSUPP:
        lp_error_set(EOPNOTSUPP, "map", "this kernel cannot do that with maps of this type");
        break;
    case -EPERM:
        lp_error_set(EPERM, "map", "not permitted");
        lp_error_hint_permission();
        break;
    default:
        lp_error_set(-error, "map", "%s", strerror(-error));
    }
    return -lp_error_last()->code;
}

static int result_of(int error)
{
    return error == 0 || error == -ENOENT || error == -EEXIST ? error : lp_map_explain(error);
}

int lp_map_lookup(int fd, const void *key, void *value)
{
    return result_of(bpf_map_lookup_elem(fd, key, value));
}

int lp_map_update(int fd, const void *key, const void *value, uint64_t flags)
{
    int error = bpf_map_update_elem(fd, key, value, flags);

    if (error != -E2BIG && error != -ENOSPC)
        return result_of(error);
    lp_error_set(-error, "map", "it is full");
    lp_error_hint("raise max_entries before load, or take entries out in time");
    return error;
}

int lp_map_delete(int fd, const void *key)
{
    return result_of(bpf_map_delete_elem(fd, key));
}

int lp_map_take(int fd, const void *key, void *value)
{
    return result_of(bpf_map_lookup_and_delete_elem(fd, key, value));
}

int lp_map_open_id(uint32_t id)
{
    int fd = bpf_map_get_fd_by_id(id);

    return fd < 0 ? lp_map_explain(fd) : fd;
}

bool lp_path_is_bpffs(const char *path)
{
    char part[4096];
    struct statfs status;
    int written = snprintf(part, sizeof(part), "%s", path);

    if (written <= 0 || (size_t)written >= sizeof(part))
        return false;
    while (statfs(part, &status) != 0) {
        char *slash = strrchr(part, '/');

        if (!slash || slash == part)
            return false;
        *slash = '\0';
    }
    return status.f_type == BPF_FS_MAGIC;
}

static int refuse_path(const char *path)
{
    lp_error_set(EINVAL, "map", "%s is not in a BPF file system", path);
    lp_error_hint("mostly that is /sys/fs/bpf: sudo mount -t bpf bpf /sys/fs/bpf");
    return -EINVAL;
}

static bool is_directory(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

int lp_map_open_pinned(const char *path)
{
    int fd = bpf_obj_get(path);

    if (fd >= 0)
        return fd;
    if (fd != -ENOENT && !lp_path_is_bpffs(path))
        return refuse_path(path);
    if (fd == -EACCES && is_directory(path))
        return lp_error_set(EISDIR, "map", "%s: a directory, not a pin", path);
    lp_error_set(-fd, "map", "%s: %s", path, fd == -ENOENT ? "nothing is pinned there" : strerror(-fd));
    if (fd == -EPERM || fd == -EACCES)
        lp_error_hint_permission();
    else if (fd != -ENOENT)
        lp_error_hint("maps are pinned in a BPF file system, mostly below /sys/fs/bpf");
    return fd;
}

int lp_map_describe(int fd, struct lp_map *out, char *name, size_t name_size)
{
    struct bpf_map_info info = {0};
    uint32_t size = sizeof(info);
    int error = bpf_obj_get_info_by_fd(fd, &info, &size);

    if (error)
        return lp_error_set(EINVAL, "map", "it is no BPF map");
    snprintf(name, name_size, "%s", info.name);
    *out = (struct lp_map){
        .name = name,
        .type = info.type,
        .key_size = info.key_size,
        .value_size = info.value_size,
        .max_entries = info.max_entries,
        .flags = info.map_flags,
        .key_type = info.btf_key_type_id,
        .value_type = info.btf_value_type_id,
        .id = info.id,
        .fd = fd,
    };
    return 0;
}

struct lp_btf *lp_map_btf(int fd)
{
    struct bpf_map_info info = {0};
    uint32_t size = sizeof(info);

    if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0 || info.btf_id == 0)
        return NULL;
    return lp_btf_from_libbpf(btf__load_from_kernel_by_id(info.btf_id), NULL);
}

int lp_map_create(const struct lp_map *like)
{
    LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = like->flags);
    int fd =
        bpf_map_create((enum bpf_map_type)like->type, NULL, like->key_size, like->value_size, like->max_entries, &opts);

    return fd < 0 ? lp_map_explain(fd) : fd;
}

static int explain_pin(int error, const char *path)
{
    lp_error_set(-error, "map", "it cannot be pinned at %s: %s", path, strerror(-error));
    if (error == -EEXIST)
        lp_error_hint("something is pinned there already: unpin it first, or choose another path");
    else if (error == -ENOENT)
        lp_error_hint("make the directory first, in a BPF file system: sudo mount -t bpf bpf /sys/fs/bpf");
    else if (error == -EPERM)
        lp_error_hint("a path in a BPF file system is needed, mostly below /sys/fs/bpf (sudo mount -t bpf bpf "
                      "/sys/fs/bpf), and CAP_BPF");
    return error;
}

/* Makes the path's last directory, as libbpf does; the mode is bpftool's. */
static bool make_directory(const char *path, char *directory, size_t size)
{
    const char *slash = strrchr(path, '/');

    if (!slash || slash == path || (size_t)(slash - path) >= size)
        return false;
    memcpy(directory, path, (size_t)(slash - path));
    directory[slash - path] = '\0';
    return mkdir(directory, 0700) == 0;
}

int lp_map_pin(int fd, const char *path)
{
    char directory[4096];
    int error = bpf_obj_pin(fd, path);

    if (error == -ENOENT && make_directory(path, directory, sizeof(directory))) {
        error = bpf_obj_pin(fd, path);
        if (error)
            (void)rmdir(directory);
    }
    return error ? explain_pin(error, path) : 0;
}

/* The directory counts, not what a symbolic link in it leads to: what is removed is the link. */
int lp_map_unpin(const char *path)
{
    char directory[4096];
    int written = snprintf(directory, sizeof(directory), "%s", path);
    char *slash = strrchr(directory, '/');

    if (written <= 0 || (size_t)written >= sizeof(directory))
        return lp_error_set(ENAMETOOLONG, "map", "%s: %s", path, strerror(ENAMETOOLONG));
    if (slash)
        slash[slash == directory ? 1 : 0] = '\0';
    if (!lp_path_is_bpffs(slash ? directory : "."))
        return refuse_path(path);
    return unlink(path) == 0 ? 0 : lp_error_set(errno, "map", "%s: %s", path, strerror(errno));
}
