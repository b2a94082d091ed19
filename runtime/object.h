/* object.h: what object.c and program.c share. */
#ifndef LUAPROBE_OBJECT_H
#define LUAPROBE_OBJECT_H

#include <bpf/libbpf.h>

#include "luaprobe.h"

/* A program loaded once more, for another attach type. */
struct lp_variant {
    struct lp_variant *next;
    int program;
    uint32_t attach_type;
    int fd;
};

struct lp_object {
    struct bpf_object *bpf;
    char *name;
    struct lp_variant *variants;
};

/* refusal.c: makes the last error, of bpf_object__load, say more. */
void lp_object_explain_load(const struct lp_object *object);
/* The i-th map or program, or NULL. */
struct bpf_map *lp_object_map_at(const struct lp_object *object, int i);
struct bpf_program *lp_object_program_at(const struct lp_object *object, int i);
/*
 * The descriptor of the i-th program, loaded for the given attach type (BPF_TRACE_KPROBE_MULTI, …), or with 0 for
 * any that binds it to a perf event. Sets the last error.
 */
int lp_object_program_for(struct lp_object *object, int i, uint32_t attach_type);
void lp_object_close_variants(struct lp_object *object);

#endif
