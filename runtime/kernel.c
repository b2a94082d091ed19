/* kernel.c: which kernel this is, on what machine. */
#include <bpf/libbpf.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "luaprobe.h"

const char *lp_version_kernel(void)
{
    static struct utsname name;

    return uname(&name) == 0 ? name.release : "unknown";
}

bool lp_kernel_at_least(int major, int minor)
{
    int found[2] = {0, 0};

    (void)sscanf(lp_version_kernel(), "%d.%d", &found[0], &found[1]);
    return found[0] > major || (found[0] == major && found[1] >= minor);
}

int lp_cpu_count(void)
{
    int cpus = libbpf_num_possible_cpus();

    return cpus > 0 ? cpus : 1;
}

size_t lp_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}
