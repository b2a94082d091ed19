/* machine.c: what this machine grants: memory locked into RAM, types of maps and programs, users, control groups. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "error.h"

int64_t lp_machine_memlock(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
        return -errno;
    return limit.rlim_cur == RLIM_INFINITY ? INT64_MAX : (int64_t)limit.rlim_cur;
}

int lp_machine_cpus(void)
{
    return libbpf_num_possible_cpus();
}

int lp_machine_map_type(uint32_t type)
{
    lp_error_capture();
    return libbpf_probe_bpf_map_type((enum bpf_map_type)type, NULL);
}

int lp_machine_program_type(uint32_t type)
{
    lp_error_capture();
    return libbpf_probe_bpf_prog_type((enum bpf_prog_type)type, NULL);
}

bool lp_machine_can_run(const char *path)
{
    return access(path, X_OK) == 0;
}

uint32_t lp_machine_user(void)
{
    return geteuid();
}

int64_t lp_user_find(const char *name)
{
    const struct passwd *entry = getpwnam(name);

    return entry ? (int64_t)entry->pw_uid : -ENOENT;
}

bool lp_user_home(char *path, size_t size)
{
    const struct passwd *entry = getpwuid(geteuid());

    return entry && entry->pw_dir && entry->pw_dir[0] == '/' && snprintf(path, size, "%s", entry->pw_dir) < (int)size;
}

int lp_cgroup_open(const char *path)
{
    struct statfs status;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (fstatfs(fd, &status) == 0 && status.f_type == CGROUP2_SUPER_MAGIC)
        return fd;
    close(fd);
    return -ENOTSUP;
}
