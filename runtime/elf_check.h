/* elf_check.h: see elf_check.c. */
#ifndef LUAPROBE_ELF_CHECK_H
#define LUAPROBE_ELF_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lp_span {
    const char *data;
    size_t size;
};

/* Whether the bytes from `offset` on are all in there. */
bool lp_span_holds(struct lp_span whole, uint64_t offset, uint64_t size);
/* Whether an ELF file, whose header and machine have been looked at, holds together: 0, or sets the last error. */
int lp_elf_check(const char *object, const void *data, size_t size);
/* The contents of the section of that name, of a file that lp_elf_check took; empty when there is none. */
struct lp_span lp_elf_section(struct lp_span elf, const char *name);

#endif
