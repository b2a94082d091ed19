/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * probe.bpf.h: entry points of programs for probes, with the arguments of what is probed as their own:
 *
 *     SEC("kprobe/vfs_read")      int BPF_KPROBE(name, struct file *file, char *buffer, size_t size)
 *     SEC("kretprobe/vfs_read")   int BPF_KRETPROBE(name, long result)
 *     SEC("ksyscall/openat")      int BPF_KSYSCALL(name, int directory, const char *path)
 *     SEC("uprobe/libc:malloc")   int BPF_UPROBE(name, size_t size)
 *     SEC("uretprobe/libc:malloc") int BPF_URETPROBE(name, void *result)
 *     SEC("usdt/PATH:PROVIDER:NAME") int BPF_USDT(name, int a)         with <bpf/usdt.bpf.h>
 *     SEC("fentry/vfs_read"), SEC("tp_btf/…"), SEC("raw_tracepoint/…") int BPF_PROG(name, …)
 *
 * They are libbpf's, from <bpf/bpf_tracing.h>, which wants to know the registers. Their names here are the kernel's
 * own, as BPF_KSYSCALL needs them; where they lie in what a probe is given never changes, so programs that do not use
 * BPF_KSYSCALL load without the kernel's BTF.
 */
#ifndef LUAPROBE_PROBE_BPF_H
#define LUAPROBE_PROBE_BPF_H

#include <stdbool.h>
#include <stddef.h>

#include "luaprobe.bpf.h"

/* Makes bpf_tracing.h take the kernel's names. */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
    unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di;
    unsigned long orig_ax, ip, cs, flags, sp, ss;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
    __u64 regs[31];
    __u64 sp, pc, pstate;
};
#endif

#endif

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

/* libbpf has these since 1.2. */
#ifndef BPF_UPROBE
#define BPF_UPROBE(name, args...) BPF_KPROBE(name, ##args)
#define BPF_URETPROBE(name, args...) BPF_KRETPROBE(name, ##args)
#endif

#endif
