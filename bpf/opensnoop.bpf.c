/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * opensnoop.bpf.c: every open(2), openat(2) and openat2(2): who, which path, which result.
 *
 * Entry and return are joined by thread. The path is read on return, when the page it lies on is in memory because the
 * kernel itself has just read it. Two sets of programs do the same: kprobes on the function that all of these calls
 * go through, and the system calls' tracepoints for kernels without kprobes.
 */
#include <linux/fcntl.h>
#include <linux/openat2.h>

#include "filter.bpf.h"
#include "probe.bpf.h"

#define PATH_SIZE 4096 /* PATH_MAX: 4,095 bytes and the NUL */

struct event {
    __u64 time;  /* nanoseconds of CLOCK_MONOTONIC, at the return */
    __u64 flags; /* O_*, but O_LARGEFILE, which the kernel adds itself */
    __u32 pid;
    __u32 tid;
    __u32 uid;
    __s32 fd;  /* -1 if it failed */
    __s32 err; /* errno, or 0 */
    char comm[LP_COMM_SIZE];
    char path[]; /* ends in a NUL; the record is as long as it needs to be */
};

LP_EVENTS(events, struct event);

/* Calls under way, by thread. */
struct call {
    __u64 path; /* an address in user space */
    __u64 flags;
};

/* What the kernel itself adds to the flags of open and openat in 64-bit programs: build_open_how, force_o_largefile. */
#ifdef __TARGET_ARCH_x86
#define LARGEFILE 0100000
#else
#define LARGEFILE 0400000
#endif

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 10240);
    __type(key, __u32);
    __type(value, struct call);
} calls SEC(".maps");

/* An event with its path, which is too large for the stack. */
struct scratch {
    char bytes[sizeof(struct event) + PATH_SIZE];
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct scratch);
} scratch SEC(".maps");

const volatile _Bool failed_only = 0;

/*
 * Opens whose return did not come: more than 10240 were under way, or the kernel had no room to remember where a
 * kretprobe shall fire. It is known once the thread opens again, or ends; until then the open counts as under way.
 */
__u64 missed = 0;
__u64 under_way = 0;

static __always_inline int enter(const char *path, __u64 flags)
{
    __u32 tid = (__u32)bpf_get_current_pid_tgid();
    struct call call = {.path = (__u64)path, .flags = flags};

    if (!lp_filter_matches())
        return 0;
    if (bpf_map_update_elem(&calls, &tid, &call, BPF_NOEXIST) == 0) {
        __sync_fetch_and_add(&under_way, 1);
        return 0;
    }
    /* The map is full, or the return of this thread's last call was missed: its place is taken. */
    __sync_fetch_and_add(&missed, 1);
    bpf_map_update_elem(&calls, &tid, &call, BPF_EXIST);
    return 0;
}

/* Whether the thread had an open under way, which is over. */
static __always_inline _Bool forget(__u32 tid)
{
    if (bpf_map_delete_elem(&calls, &tid) != 0)
        return 0;
    __sync_fetch_and_add(&under_way, (__u64)-1);
    return 1;
}

static __always_inline void send(void *ctx, const struct call *call, long result)
{
    __u64 id = bpf_get_current_pid_tgid();
    __u32 zero = 0;
    struct scratch *space = bpf_map_lookup_elem(&scratch, &zero);
    struct event *event;
    long length;

    if (!space)
        return;
    event = (struct event *)space->bytes;
    event->time = bpf_ktime_get_ns();
    event->flags = call->flags;
    event->pid = id >> 32;
    event->tid = (__u32)id;
    event->uid = (__u32)bpf_get_current_uid_gid();
    event->fd = result < 0 ? -1 : (__s32)result;
    event->err = result < 0 ? (__s32)-result : 0;
    bpf_get_current_comm(event->comm, sizeof(event->comm));
    length = bpf_probe_read_user_str(event->path, PATH_SIZE, (const void *)call->path);
    if (length < 1) {
        event->path[0] = '\0';
        length = 1;
    }
    lp_barrier(length);
    if (length > 0 && length <= PATH_SIZE)
        lp_output(ctx, events, event, __builtin_offsetof(struct event, path) + length);
}

static __always_inline int leave(void *ctx, long result)
{
    __u32 tid = (__u32)bpf_get_current_pid_tgid();
    struct call *call = bpf_map_lookup_elem(&calls, &tid);

    if (!call)
        return 0;
    if (!failed_only || result < 0)
        send(ctx, call, result);
    forget(tid);
    return 0;
}

/* do_sys_openat2(int dfd, const char __user *path, struct open_how *how), since Linux 5.6; long, later int */
SEC("kprobe/do_sys_openat2")
int BPF_KPROBE(do_sys_openat2, int dfd, const char *path, struct open_how *how)
{
    __u64 flags = 0;

    bpf_probe_read_kernel(&flags, sizeof(flags), &how->flags);
    return enter(path, flags & ~(__u64)LARGEFILE);
}

SEC("kretprobe/do_sys_openat2")
int BPF_KRETPROBE(do_sys_openat2_return, int result)
{
    return leave(ctx, result);
}

/* No thread ends inside of an open: the return of one that it had under way was missed. */
SEC("raw_tracepoint/sched_process_exit")
int thread_exit(void *ctx)
{
    if (forget((__u32)bpf_get_current_pid_tgid()))
        __sync_fetch_and_add(&missed, 1);
    return 0;
}

/* The layout of the system calls' tracepoints is fixed: 8 bytes common to all, the number, then 64 bits each. */
struct sys_enter {
    __u64 common;
    __u64 number;
    __u64 args[6];
};

struct sys_exit {
    __u64 common;
    __u64 number;
    __s64 result;
};

#ifdef __TARGET_ARCH_x86 /* newer architectures have only openat and openat2 */
SEC("tracepoint/syscalls/sys_enter_open")
int sys_enter_open(struct sys_enter *ctx)
{
    return enter((const char *)ctx->args[0], (__u32)ctx->args[1] & ~LARGEFILE);
}

SEC("tracepoint/syscalls/sys_exit_open")
int sys_exit_open(struct sys_exit *ctx)
{
    return leave(ctx, ctx->result);
}

/* creat(path, mode) is an open with these flags. */
SEC("tracepoint/syscalls/sys_enter_creat")
int sys_enter_creat(struct sys_enter *ctx)
{
    return enter((const char *)ctx->args[0], O_CREAT | O_WRONLY | O_TRUNC);
}

SEC("tracepoint/syscalls/sys_exit_creat")
int sys_exit_creat(struct sys_exit *ctx)
{
    return leave(ctx, ctx->result);
}
#endif

SEC("tracepoint/syscalls/sys_enter_openat")
int sys_enter_openat(struct sys_enter *ctx)
{
    return enter((const char *)ctx->args[1], (__u32)ctx->args[2] & ~LARGEFILE);
}

SEC("tracepoint/syscalls/sys_exit_openat")
int sys_exit_openat(struct sys_exit *ctx)
{
    return leave(ctx, ctx->result);
}

SEC("tracepoint/syscalls/sys_enter_openat2")
int sys_enter_openat2(struct sys_enter *ctx)
{
    struct open_how how = {0};

    bpf_probe_read_user(&how, sizeof(how), (const void *)ctx->args[2]);
    return enter((const char *)ctx->args[1], how.flags & ~(__u64)LARGEFILE);
}

SEC("tracepoint/syscalls/sys_exit_openat2")
int sys_exit_openat2(struct sys_exit *ctx)
{
    return leave(ctx, ctx->result);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
