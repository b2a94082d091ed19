/* cpus.c: CPUs that come and go, as the kernel tells udev (NETLINK_KOBJECT_UEVENT). */
#include "cpus.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { KERNEL_GROUP = 1 };

int lp_cpus_open(void)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP};
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
    int error;

    if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    error = -errno;
    if (fd >= 0)
        close(fd);
    return error;
}

bool lp_cpus_parse(const char *message, uint32_t *cpu, bool *online)
{
    static const char path[] = "@/devices/system/cpu/cpu";
    const char *at = strchr(message, '@');
    char *end;

    if (!at || strncmp(at, path, sizeof(path) - 1) != 0)
        return false;
    *online = strncmp(message, "online@", 7) == 0;
    if (!*online && strncmp(message, "offline@", 8) != 0)
        return false;
    at += sizeof(path) - 1;
    *cpu = (uint32_t)strtoul(at, &end, 10);
    return end != at && *end == '\0';
}

bool lp_cpus_next(int fd, uint32_t *cpu, bool *online)
{
    char message[4096];
    ssize_t size;

    while ((size = recv(fd, message, sizeof(message) - 1, 0)) > 0) {
        message[size] = '\0'; /* variables follow the first line, each behind a NUL */
        if (lp_cpus_parse(message, cpu, online))
            return true;
    }
    return false;
}
