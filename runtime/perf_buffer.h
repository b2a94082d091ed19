/* perf_buffer.h: opening and closing one CPU's perf buffer. See perf_buffer.c. */
#ifndef LUAPROBE_PERF_BUFFER_H
#define LUAPROBE_PERF_BUFFER_H

#include "buffer.h"

/* A negative errno on failure; ENODEV when the CPU is offline. */
int lp_perf_buffer_open(struct lp_buffer *buffer, uint32_t cpu, size_t size, size_t page_size, bool overwrite);
void lp_perf_buffer_close(struct lp_buffer *buffer, size_t page_size);
/* How many events found it full, as far as the kernel tells, or could not be understood. */
uint64_t lp_perf_buffer_lost(const struct lp_buffer *buffer);

#endif
