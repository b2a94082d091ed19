/* cpus.h: CPUs that come and go. See cpus.c. */
#ifndef LUAPROBE_CPUS_H
#define LUAPROBE_CPUS_H

#include <stdbool.h>
#include <stdint.h>

/* A descriptor that is readable when a CPU came or went, or a negative errno. */
int lp_cpus_open(void);
/* The next piece of news; false when there is none. */
bool lp_cpus_next(int fd, uint32_t *cpu, bool *online);
/* Whether a message of the kernel's is about a CPU: "online@/devices/system/cpu/cpu3". */
bool lp_cpus_parse(const char *message, uint32_t *cpu, bool *online);

#endif
