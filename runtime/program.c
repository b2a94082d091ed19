/* program.c: the BPF programs of an object, and how one is loaded once more for another way of attaching. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "map.h"
#include "object.h"

struct bpf_program *lp_object_program_at(const struct lp_object *object, int i)
{
    struct bpf_program *program;

    bpf_object__for_each_program(program, object->bpf)
    {
        if (i-- == 0)
            return program;
    }
    return NULL;
}

bool lp_object_program(struct lp_object *object, int i, struct lp_program *out)
{
    struct bpf_program *program = lp_object_program_at(object, i);
    int fd;

    if (!program)
        return false;
    fd = bpf_program__fd(program);
    out->name = bpf_program__name(program);
    out->section = bpf_program__section_name(program);
    out->type = (uint32_t)bpf_program__type(program);
    out->autoload = bpf_program__autoload(program);
    out->fd = fd < 0 ? -1 : fd; /* libbpf's error stands for "not loaded" */
    return true;
}

int lp_object_autoload(struct lp_object *object, int i, bool on)
{
    struct bpf_program *program = lp_object_program_at(object, i);
    int error = program ? bpf_program__set_autoload(program, on) : -ENOENT;

    if (error)
        return lp_error_set(-error, "load", "%s: autoload of program %d: %s", object->name, i, strerror(-error));
    return 0;
}

/* ---- variants: the kernel looks at expected_attach_type when a program is loaded, so another needs another program */

/* BPF_TRACE_KPROBE_MULTI, _UPROBE_MULTI, _KPROBE_SESSION, _UPROBE_SESSION: what perf events do not take. */
static bool is_multi(uint32_t attach_type)
{
    return attach_type == 42 || attach_type == 48 || attach_type == 56 || attach_type == 58;
}

/* Whether programs under a licence that is compatible with the GPL's may call all helpers: the kernel remembers it. */
static bool is_gpl(int program_fd)
{
    struct bpf_prog_info info = {0};
    uint32_t size = sizeof(info);

    return bpf_obj_get_info_by_fd(program_fd, &info, &size) == 0 && info.gpl_compatible;
}

/* After bpf_object__load, libbpf's copy of the instructions is the one that it gave to the kernel: relocated. */
static int load_variant(const struct lp_object *object, const struct bpf_program *program, uint32_t attach_type)
{
    LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = (enum bpf_attach_type)attach_type,
                .prog_flags = bpf_program__flags(program));
    const char *license = is_gpl(bpf_program__fd(program)) ? "GPL" : "Proprietary";
    int fd = bpf_prog_load(bpf_program__type(program), bpf_program__name(program), license, bpf_program__insns(program),
                           bpf_program__insn_cnt(program), &opts);

    if (fd >= 0)
        return fd;
    lp_error_set(-fd, "load", "%s: program %s cannot be loaded for this attach mechanism: %s", object->name,
                 bpf_program__name(program), strerror(-fd));
    if (fd == -EPERM)
        lp_error_hint_permission();
    return fd;
}

static int add_variant(struct lp_object *object, int i, uint32_t attach_type)
{
    struct lp_variant *variant = malloc(sizeof(*variant));
    int fd;

    if (!variant)
        return lp_error_set(ENOMEM, "load", "%s: no memory", object->name);
    fd = load_variant(object, lp_object_program_at(object, i), attach_type);
    if (fd < 0) {
        free(variant);
        return fd;
    }
    *variant = (struct lp_variant){object->variants, i, attach_type, fd};
    object->variants = variant;
    return fd;
}

int lp_object_program_for(struct lp_object *object, int i, uint32_t attach_type)
{
    const struct bpf_program *program = lp_object_program_at(object, i);
    uint32_t loaded_for;

    if (!program || bpf_program__fd(program) < 0)
        return lp_error_set(EINVAL, "attach", "%s: the program is not loaded", object->name);
    loaded_for = bpf_program__expected_attach_type(program);
    if (is_multi(attach_type) ? loaded_for == attach_type : !is_multi(loaded_for))
        return bpf_program__fd(program);
    for (const struct lp_variant *variant = object->variants; variant; variant = variant->next) {
        if (variant->program == i && variant->attach_type == attach_type)
            return variant->fd;
    }
    return add_variant(object, i, attach_type);
}

void lp_object_close_variants(struct lp_object *object)
{
    for (struct lp_variant *variant = object->variants; variant;) {
        struct lp_variant *next = variant->next;

        close(variant->fd);
        free(variant);
        variant = next;
    }
    object->variants = NULL;
}

/* ---- what the kernel knows of it ------------------------------------------------------------------------------ */

static int loaded_fd(const struct lp_object *object, int i, const struct bpf_program **program)
{
    *program = lp_object_program_at(object, i);
    if (*program && bpf_program__fd(*program) >= 0)
        return bpf_program__fd(*program);
    return lp_error_set(EINVAL, "program", "%s: the program is not loaded", object->name);
}

int lp_object_program_info(struct lp_object *object, int i, struct lp_program_info *out)
{
    const struct bpf_program *program;
    struct bpf_prog_info info = {0};
    uint32_t size = sizeof(info);
    int fd = loaded_fd(object, i, &program);

    *out = (struct lp_program_info){.instructions = program ? (uint32_t)bpf_program__insn_cnt(program) : 0};
    if (fd < 0)
        return fd;
    if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0)
        return lp_error_set(errno, "program", "%s: program %s: %s", object->name, bpf_program__name(program),
                            strerror(errno));
    out->id = info.id;
    out->verified = info.verified_insns;
    out->jited_bytes = info.jited_prog_len;
    out->runs = info.run_cnt;
    out->time_ns = info.run_time_ns;
    out->missed = info.recursion_misses;
    return 0;
}

int lp_object_test_run(struct lp_object *object, int i, struct lp_test_run *run)
{
    const struct bpf_program *program;
    LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = run->data_in, .data_size_in = run->data_size_in,
                .data_out = run->data_out, .data_size_out = run->data_size_out, .ctx_in = run->context_in,
                .ctx_size_in = run->context_size_in, .ctx_out = run->context_out, .ctx_size_out = run->context_size_out,
                .repeat = (int)run->repeat_count);
    int fd = loaded_fd(object, i, &program);
    int error;

    if (fd < 0)
        return fd;
    error = bpf_prog_test_run_opts(fd, &opts);
    if (error == -ENOTSUPP || error == -EOPNOTSUPP) {
        lp_error_set(EOPNOTSUPP, "program", "%s: program %s: this kernel cannot test-run programs of section '%s'",
                     object->name, bpf_program__name(program), bpf_program__section_name(program));
        lp_error_hint("raw tracepoints (Linux 5.10), syscall programs, and programs for packets can be; attach others");
        return -EOPNOTSUPP;
    }
    if (error) {
        lp_error_set(-error, "program", "%s: program %s: the test run failed: %s", object->name,
                     bpf_program__name(program), strerror(-error));
        if (error == -EINVAL)
            lp_error_hint("is the data or the context of the size that programs of section '%s' take?",
                          bpf_program__section_name(program));
        return error;
    }
    run->result = opts.retval;
    run->duration = opts.duration;
    run->data_size_out = opts.data_size_out;
    run->context_size_out = opts.ctx_size_out;
    return 0;
}
