/* fd.c: descriptors that stand for a process or a file: the keys of BPF storage maps. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "error.h"

int lp_fd_of_process(int pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    return fd >= 0 ? fd : lp_error_set(errno, "map", "process %d: %s", pid, strerror(errno));
}

int lp_fd_of_path(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    return fd >= 0 ? fd : lp_error_set(errno, "map", "%s: %s", path, strerror(errno));
}

void lp_fd_close(int fd)
{
    close(fd);
}
