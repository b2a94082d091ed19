/* kernel_btf.h: what object.c asks of kernel_btf.c. */
#ifndef LUAPROBE_KERNEL_BTF_H
#define LUAPROBE_KERNEL_BTF_H

#include "luaprobe.h"

/* The file that lp_btf_kernel_use named, or NULL. */
const char *lp_btf_kernel_path(void);

#endif
