/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * call.bpf.h: the sources of fetches, and what joins a call's entry with its return.
 *
 * A call is known by its thread and the place of its return address on the stack, which entry and return agree on. So
 * recursion, calls of other probed functions, and returns that the kernel missed cannot be taken for each other. System
 * calls, joined by their tracepoints, do not nest.
 */
#ifndef LUAPROBE_CALL_BPF_H
#define LUAPROBE_CALL_BPF_H

#include "fetch.bpf.h"

struct frame {
    __u32 tid;
    __u32 unused;
    __u64 stack;
};

/* What bpf_get_func_ip is there for (Linux 5.15): at a return the registers do not tell which function it was. */
const volatile _Bool ask_function = 0;
/* The probe's cookie tells the function instead (Linux 5.15). */
const volatile _Bool ask_cookie = 0;

#if defined(__TARGET_ARCH_x86)
#define LP_RETURN_ADDRESS_SIZE 8 /* still on the stack at the entry, taken from it at the return */
#define LP_BEHIND 1              /* how far behind the instruction LP_IP is at a breakpoint */
#define LP_IP(regs) ((regs)->ip)
#define LP_SP(regs) ((regs)->sp)
#define LP_RESULT(regs) ((regs)->ax)
typedef struct pt_regs lp_regs;
static __always_inline void lp_arguments(const lp_regs *regs, __u64 *sources)
{
    sources[0] = regs->di;
    sources[1] = regs->si;
    sources[2] = regs->dx;
    sources[3] = regs->cx;
    sources[4] = regs->r8;
    sources[5] = regs->r9;
}
#elif defined(__TARGET_ARCH_arm64)
#define LP_RETURN_ADDRESS_SIZE 0
#define LP_BEHIND 0
#define LP_IP(regs) ((regs)->pc)
#define LP_SP(regs) ((regs)->sp)
#define LP_RESULT(regs) ((regs)->regs[0])
typedef struct user_pt_regs lp_regs;
static __always_inline void lp_arguments(const lp_regs *regs, __u64 *sources)
{
    sources[0] = regs->regs[0];
    sources[1] = regs->regs[1];
    sources[2] = regs->regs[2];
    sources[3] = regs->regs[3];
    sources[4] = regs->regs[4];
    sources[5] = regs->regs[5];
}
#endif

static __always_inline void lp_identify(void *ctx, __u64 *sources, struct frame *frame, const char *comm)
{
    __u64 id = bpf_get_current_pid_tgid();

    sources[LP_PID] = id >> 32;
    sources[LP_TID] = (__u32)id;
    sources[LP_UID] = (__u32)bpf_get_current_uid_gid();
    sources[LP_CPU] = bpf_get_smp_processor_id();
    sources[LP_COMM] = (__u64)comm;
    if (ask_cookie)
        sources[LP_FUNCTION] = bpf_get_attach_cookie(ctx);
    frame->tid = (__u32)id;
}

static __always_inline void lp_at_entry(const lp_regs *regs, __u64 *sources, struct frame *frame)
{
    lp_arguments(regs, sources);
    sources[LP_FUNCTION] = LP_IP(regs);
    frame->stack = LP_SP(regs);
}

static __always_inline void lp_at_return(lp_regs *regs, __u64 *sources, struct frame *frame)
{
    sources[LP_RETURNED] = LP_RESULT(regs);
    sources[LP_FUNCTION] = ask_function ? bpf_get_func_ip(regs) + LP_BEHIND : LP_IP(regs);
    frame->stack = LP_SP(regs) - LP_RETURN_ADDRESS_SIZE;
}

#endif
