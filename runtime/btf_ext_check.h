/* btf_ext_check.h: see btf_ext_check.c. */
#ifndef LUAPROBE_BTF_EXT_CHECK_H
#define LUAPROBE_BTF_EXT_CHECK_H

#include "elf_check.h"

/* Whether .BTF.ext, if there is any, can be trusted: it refers to that many types, and bytes of strings. */
bool lp_btf_ext_check(struct lp_span section, uint32_t types, size_t strings);

#endif
