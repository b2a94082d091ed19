/* kernel.c: which kernel this is. */
#include <stdio.h>
#include <sys/utsname.h>

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
