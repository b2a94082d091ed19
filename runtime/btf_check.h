/* btf_check.h: see btf_check.c. */
#ifndef LUAPROBE_BTF_CHECK_H
#define LUAPROBE_BTF_CHECK_H

#include <stddef.h>

/* Whether the BTF in an ELF file, whose header has been looked at, can be trusted: 0, or sets the last error. */
int lp_btf_check(const char *object, const void *data, size_t size);
/* The same for a file of types: BTF alone, or an ELF file that has some. */
int lp_btf_check_file(const char *path, const void *data, size_t size);

#endif
