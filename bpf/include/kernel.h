/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * kernel.h: the kernel's own types, as far as programs here use them.
 *
 * Each struct lists only the members that are read. preserve_access_index makes libbpf find their real offsets in the
 * running kernel's BTF when the object is loaded (CO-RE), so one object fits every kernel, and building needs neither
 * BTF nor a vmlinux.h. Types that are part of the kernel's user-space interface come from <linux/…> instead.
 */
#ifndef LUAPROBE_KERNEL_H
#define LUAPROBE_KERNEL_H

#include <linux/types.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct task_struct {
    int pid;  /* what user space calls the thread id */
    int tgid; /* what user space calls the process id */
    struct task_struct *real_parent;
};

#pragma clang attribute pop

#endif
