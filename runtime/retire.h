/*
 * retire.h: memory that events were in, given up.
 *
 * A script may still look there: at the event whose loop body closes the map, or at one that it kept by mistake. So the
 * address stays readable until many others were given up.
 */
#ifndef LUAPROBE_RETIRE_H
#define LUAPROBE_RETIRE_H

#include <stddef.h>

/* Pages that were mapped: the kernel gets them back at once, and zeros are read in their place. */
void lp_retire_pages(void *pages, size_t size);
/* A block of the heap, or whatever `release` frees later. NULL is nothing. */
void lp_retire(void *memory, void (*release)(void *memory));

#endif
