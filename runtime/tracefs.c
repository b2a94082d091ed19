/*
 * tracefs.c: the kernel's list of trace events.
 *
 * It is mounted at /sys/kernel/tracing, on older systems below debugfs, and on a minimal one nowhere. In the last case
 * it is mounted detached (fsopen and fsmount, Linux 5.2): reachable through our descriptor only, so the machine's
 * mounts stay as they are and nothing has to be unmounted when we are killed.
 */
#include "tracefs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "error.h"

/* From <linux/mount.h>, which cannot be included beside <sys/mount.h> of every libc. */
enum { FSOPEN_CLOSE_ON_EXEC = 1, FSMOUNT_CLOSE_ON_EXEC = 1, CONFIG_CREATE = 6 };

static int open_mounted(const char *path)
{
    struct statfs status;
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (fstatfs(fd, &status) == 0 && status.f_type == TRACEFS_MAGIC)
        return fd;
    close(fd);
    return -ENOENT;
}

static int open_detached(void)
{
    int mount = -1;
    int context = (int)syscall(SYS_fsopen, "tracefs", FSOPEN_CLOSE_ON_EXEC);

    if (context < 0)
        return -errno;
    if (syscall(SYS_fsconfig, context, CONFIG_CREATE, NULL, NULL, 0) == 0)
        mount = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOSE_ON_EXEC, 0);
    if (mount < 0)
        mount = -errno;
    close(context);
    return mount;
}

int lp_tracefs_open(void)
{
    int root;
    int mounted = open_mounted("/sys/kernel/tracing");

    if (mounted < 0)
        mounted = open_mounted("/sys/kernel/debug/tracing");
    root = mounted >= 0 ? mounted : open_detached();
    if (root >= 0)
        return root;
    if (mounted == -EACCES || root == -EPERM) {
        lp_error_set(EPERM, "attach", "tracefs, which lists the tracepoints, is %s",
                     mounted == -EACCES ? "not readable for this user" : "not mounted, and this user may not mount it");
        lp_error_hint_permission();
        return -EPERM;
    }
    if (root == -ENODEV) {
        lp_error_set(ENODEV, "attach", "this kernel has no tracefs, and so no tracepoints");
        lp_error_hint("it needs a kernel with CONFIG_FTRACE");
        return root;
    }
    lp_error_set(-root, "attach", "tracefs, which lists the tracepoints, cannot be mounted: %s", strerror(-root));
    lp_error_hint("sudo mount -t tracefs nodev /sys/kernel/tracing");
    return root;
}
