/*
 * refusal.c: why an object was not loaded, where libbpf's text leaves the user alone with it: which program it was,
 * what is wrong with its section, which kernel has the helper that it calls, and what mends it.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "error.h"
#include "object.h"

/* Helpers for tracing programs that came after Linux 5.10, from enum bpf_func_id of <linux/bpf.h>. */
static const struct helper {
    int id;
    const char *name;
    const char *since;
} helpers[] = {
    {156, "bpf_task_storage_get", "5.11"},
    {157, "bpf_task_storage_delete", "5.11"},
    {158, "bpf_get_current_task_btf", "5.11"},
    {160, "bpf_ktime_get_coarse_ns", "5.11"},
    {164, "bpf_for_each_map_elem", "5.13"},
    {165, "bpf_snprintf", "5.13"},
    {169, "bpf_timer_init", "5.15"},
    {170, "bpf_timer_set_callback", "5.15"},
    {171, "bpf_timer_start", "5.15"},
    {173, "bpf_get_func_ip", "5.15"},
    {174, "bpf_get_attach_cookie", "5.15"},
    {175, "bpf_task_pt_regs", "5.15"},
    {176, "bpf_get_branch_snapshot", "5.16"},
    {177, "bpf_trace_vprintk", "5.16"},
    {179, "bpf_kallsyms_lookup_name", "5.16"},
    {180, "bpf_find_vma", "5.17"},
    {181, "bpf_loop", "5.17"},
    {182, "bpf_strncmp", "5.17"},
    {183, "bpf_get_func_arg", "5.17"},
    {184, "bpf_get_func_ret", "5.17"},
    {191, "bpf_copy_from_user_task", "5.18"},
    {194, "bpf_kptr_xchg", "5.19"},
    {195, "bpf_map_lookup_percpu_elem", "5.19"},
    {198, "bpf_ringbuf_reserve_dynptr", "5.19"},
    {208, "bpf_ktime_get_tai_ns", "6.1"},
    {209, "bpf_user_ringbuf_drain", "6.1"},
    {210, "bpf_cgrp_storage_get", "6.2"},
};

/* "unknown func unknown#174" and "invalid func bpf_get_attach_cookie#174" of the verifier, as its last word. */
static bool explain_helper(const char *message)
{
    const char *function = strstr(message, "unknown func ");
    const char *number;
    int id;

    if (!function)
        function = strstr(message, "invalid func ");
    number = function ? strchr(function, '#') : NULL;
    if (!number)
        return false;
    id = atoi(number + 1);
    for (size_t i = 0; i < sizeof(helpers) / sizeof(helpers[0]); i++) {
        if (helpers[i].id == id) {
            lp_error_hint("the helper %s needs Linux %s, and a type of program that may call it", helpers[i].name,
                          helpers[i].since);
            return true;
        }
    }
    lp_error_hint("this kernel has no such helper, or not for programs of this type");
    return true;
}

/* The last program that libbpf could not load. */
static const struct bpf_program *refused_program(const struct lp_object *object, const char *log)
{
    static const char ending[] = "': failed to load: -";
    const char *end = log ? strstr(log, ending) : NULL;
    const char *start = end;
    char name[256];

    if (!end)
        return NULL;
    while (start > log && start[-1] != '\'')
        start--;
    snprintf(name, sizeof(name), "%.*s", (int)(end - start), start);
    return bpf_object__find_program_by_name(object->bpf, name);
}

/* Where there is something near to the name in the section, or where to look. */
static void hint_instead(const char *section, const char *name)
{
    const char *near[3] = {"", "", ""};
    bool is_function = section[0] == 'f'; /* fentry, fexit, fmod_ret */
    struct lp_kallsyms *kallsyms = is_function ? lp_kallsyms_open(NULL, false) : NULL;
    int count = kallsyms ? lp_kallsyms_nearest(kallsyms, name, near, 3) : 0;

    if (count > 0)
        lp_error_hint("did you mean %s%s%s%s%s? A kprobe goes also to functions that BTF does not tell of", near[0],
                      count > 1 ? " or " : "", near[1], count > 2 ? " or " : "", near[2]);
    else if (strncmp(section, "lsm", 3) == 0)
        lp_error_hint("see what there is: grep bpf_lsm_ /proc/kallsyms");
    else
        lp_error_hint("see what there is: luaprobe list '%.*s:*'", (int)strcspn(section, "./"), section);
    lp_kallsyms_close(kallsyms);
}

static void explain_missing(const struct lp_object *object, const struct bpf_program *program)
{
    const char *section = bpf_program__section_name(program);
    const char *name = strchr(section, '/') ? strchr(section, '/') + 1 : "";
    const char *what = strncmp(section, "tp_btf", 6) == 0 ? "tracepoint"
                       : strncmp(section, "lsm", 3) == 0  ? "security hook"
                                                          : "function";

    lp_error_reword("%s: program '%s' (%s): this kernel's types have no %s %s", object->name,
                    bpf_program__name(program), section, what, name);
    hint_instead(section, name);
}

static bool explain_section(const struct lp_object *object, const struct bpf_program *program, const char *log)
{
    const char *section = bpf_program__section_name(program);

    if (strstr(log, "failed to find kernel BTF type ID of")) {
        explain_missing(object, program);
        return true;
    }
    if (bpf_program__type(program) == BPF_PROG_TYPE_UNSPEC) {
        lp_error_reword("%s: program '%s': its section '%s' is of no kind that is known here", object->name,
                        bpf_program__name(program), section);
        lp_error_hint("write SEC(\"kprobe/FUNCTION\"), SEC(\"tracepoint/CATEGORY/NAME\"), SEC(\"fentry/FUNCTION\"), …; "
                      "or choose what is loaded: obj.programs.%s:set_autoload(false)",
                      bpf_program__name(program));
        return true;
    }
    if (bpf_program__type(program) == BPF_PROG_TYPE_EXT) {
        lp_error_hint(
            "programs of section freplace/… take the place of a function of another BPF program, which cannot "
            "be named here");
        return true;
    }
    return false;
}

/* EPERM although the capabilities are there: types of program that a kernel may be built, or booted, without. */
static bool explain_permission(const struct bpf_program *program, int code)
{
    enum bpf_prog_type type = bpf_program__type(program);

    if (code != EPERM || !lp_error_has_capabilities())
        return false;
    if (type == BPF_PROG_TYPE_LSM)
        lp_error_hint("the capabilities are there; it needs a kernel with CONFIG_BPF_LSM, booted with bpf among lsm=…");
    else if (type == BPF_PROG_TYPE_TRACING)
        lp_error_hint(
            "the capabilities are there; it needs a kernel with CONFIG_FUNCTION_TRACER and CONFIG_BPF_JIT, for "
            "fmod_ret also CONFIG_FUNCTION_ERROR_INJECTION; a kprobe or a tracepoint may do");
    else
        return false;
    return true;
}

/* A few descriptors are too few for libbpf, which then finds the kernel poor: it tries what there is by opening it. */
static bool explain_limit(const struct lp_object *object, int code)
{
    enum { ENOUGH = 64 };
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || (code != EMFILE && limit.rlim_cur >= ENOUGH))
        return false;
    if (code == EMFILE)
        lp_error_reword("%s: too many open files", object->name);
    lp_error_hint("this process may have %llu files open, and each map, program and probe is one: ulimit -n 1024",
                  (unsigned long long)limit.rlim_cur);
    return true;
}

void lp_object_explain_load(const struct lp_object *object)
{
    const struct lp_error *error = lp_error_last();
    const char *log = error->log ? error->log : "";
    const struct bpf_program *program = refused_program(object, log);
    int code = error->code;

    if (explain_limit(object, code) || (program && explain_section(object, program, log)) ||
        (program && explain_permission(program, code)) || explain_helper(error->message))
        return;
    if (strstr(log, "/sys/devices/system/cpu"))
        lp_error_hint("libbpf counts the CPUs by /sys: is it mounted? sudo mount -t sysfs sysfs /sys");
    else if (strstr(error->message, "vmlinux BTF"))
        lp_error_hint(
            "the program adapts itself to the kernel's types, in /sys/kernel/btf/vmlinux: is /sys mounted (sudo "
            "mount -t sysfs sysfs /sys)? A kernel that ships none needs --btf FILE");
    else if (strstr(error->message, "failed to create") && (code == ENOMEM || code == E2BIG || code == EINVAL))
        lp_error_hint("is the map too large, has it no entries, or is it of a type that this kernel lacks? "
                      "obj.maps.NAME.max_entries = N before obj:load() sets how many there are");
}
