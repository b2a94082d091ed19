/*
 * tracefs.c: the kernel's list of trace events, and debugfs beside it.
 *
 * tracefs is mounted at /sys/kernel/tracing, on older systems below debugfs, and on a minimal one nowhere. In the last
 * case it is mounted detached (fsopen and fsmount, Linux 5.2): reachable through our descriptor only, so the machine's
 * mounts stay as they are and nothing has to be unmounted when we are killed.
 */
#include "tracefs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "bytes.h"
#include "error.h"

/* From <linux/mount.h>, which cannot be included beside <sys/mount.h> of every libc. */
enum { FSOPEN_CLOSE_ON_EXEC = 1, FSMOUNT_CLOSE_ON_EXEC = 1, CONFIG_CREATE = 6 };

static int open_mounted(const char *path, long magic)
{
    struct statfs status;
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (fstatfs(fd, &status) == 0 && status.f_type == magic)
        return fd;
    close(fd);
    return -ENOENT;
}

static int open_detached(const char *type)
{
    int mount = -1;
    int context = (int)syscall(SYS_fsopen, type, FSOPEN_CLOSE_ON_EXEC);

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
    int mounted = open_mounted("/sys/kernel/tracing", TRACEFS_MAGIC);

    if (mounted < 0)
        mounted = open_mounted("/sys/kernel/debug/tracing", TRACEFS_MAGIC);
    root = mounted >= 0 ? mounted : open_detached("tracefs");
    if (root >= 0)
        return root;
    if (mounted == -EACCES || root == -EPERM) {
        lp_error_set(EPERM, "attach", "tracefs, which lists the tracepoints, is %s",
                     mounted == -EACCES ? "not readable for this user" : "not mounted, and this user may not mount it");
        if (!lp_error_has_capabilities())
            lp_error_hint_permission();
        else if (mounted == -EACCES)
            lp_error_hint(
                "let this user's group read it: sudo mount -o remount,mode=750,gid=GROUP /sys/kernel/tracing; "
                "or run it with sudo");
        else
            lp_error_hint("sudo mount -t tracefs nodev /sys/kernel/tracing");
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

int lp_tracefs_event_id(const char *event, const char *target)
{
    char path[768];
    char text[32];
    ssize_t size;
    int fd;
    int error;
    int root = lp_tracefs_open();

    if (root < 0)
        return root;
    snprintf(path, sizeof(path), "events/%s/id", event);
    fd = openat(root, path, O_RDONLY | O_CLOEXEC);
    error = errno;
    close(root);
    if (fd < 0 && (error == EACCES || error == EPERM)) {
        lp_error_set(EPERM, "attach", "%s: tracefs is not readable for this user", target);
        lp_error_hint_permission();
        return -EPERM;
    }
    if (fd < 0)
        return -ENOENT;
    size = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (size <= 0)
        return lp_error_set(EIO, "attach", "%s: its id in tracefs cannot be read", target);
    text[size] = '\0';
    return (int)strtol(text, NULL, 10);
}

/* Whole lists. What cannot be read is not an error to tell: whoever asks wants to know more of another one. */
static int read_below(int root, const char *file, const char *containing, struct lp_bytes *out)
{
    int fd;
    int error;

    if (root < 0)
        return root;
    fd = openat(root, file, O_RDONLY | O_CLOEXEC);
    error = fd < 0 ? -errno : lp_bytes_read_lines(fd, containing, out);
    if (fd >= 0)
        close(fd);
    close(root);
    return error;
}

int lp_tracefs_read(const char *file, const char *containing, struct lp_bytes *out)
{
    int root = lp_tracefs_open();
    int error = read_below(root, file, containing, out);

    if (root < 0 || (error != -EACCES && error != -EPERM))
        return error;
    lp_error_set(EPERM, "attach", "tracefs, which lists the tracepoints, is not readable for this user");
    lp_error_hint_permission();
    return -EPERM;
}

int lp_debugfs_read(const char *file, const char *containing, struct lp_bytes *out)
{
    int root = open_mounted("/sys/kernel/debug", DEBUGFS_MAGIC);

    return read_below(root >= 0 ? root : open_detached("debugfs"), file, containing, out);
}
