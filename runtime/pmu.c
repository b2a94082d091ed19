/* pmu.c: what sysfs says of the kprobe and uprobe PMUs, which make probes of perf events since Linux 4.17. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "probe.h"

/* Reads the number behind `prefix` in a one-line file below the PMU's directory. */
static int read_number(const char *pmu, const char *file_name, const char *prefix)
{
    char path[128];
    char format[32];
    int number;
    int fields;
    FILE *file;

    snprintf(path, sizeof(path), "/sys/bus/event_source/devices/%s/%s", pmu, file_name);
    file = fopen(path, "re");
    if (!file)
        return -errno;
    snprintf(format, sizeof(format), "%s%%d", prefix);
    fields = fscanf(file, format, &number);
    fclose(file);
    return fields == 1 && number >= 0 ? number : -EINVAL;
}

int lp_pmu_type(const char *pmu)
{
    return read_number(pmu, "type", "");
}

int lp_pmu_bit(const char *pmu, const char *field)
{
    char file[64];

    snprintf(file, sizeof(file), "format/%s", field);
    return read_number(pmu, file, "config:");
}
