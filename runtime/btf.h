/* btf.h: types as C sees them, for the files that read BTF. See btf.c. */
#ifndef LUAPROBE_BTF_H
#define LUAPROBE_BTF_H

#include <bpf/btf.h> /* its inline functions: btf_kind, btf_members, … */

#include "luaprobe.h"

struct lp_btf {
    const struct lp_btf *base; /* whose ids and strings come before these, or NULL */
    const uint8_t *types;
    const char *strings;
    uint32_t strings_size;
    uint32_t first_id;     /* of the types here */
    uint32_t first_string; /* offset of the strings here */
    uint32_t end_id;       /* behind the last one */
    uint32_t *offsets;     /* of the types in `types`, from first_id on */
    size_t offsets_size;   /* how many there is room for */
    uint32_t *slots;       /* ids by the hash of their names, made when something is looked up */
    uint32_t slot_mask;
    void *memory; /* what lp_btf_free gives back, or NULL */
    size_t memory_size;
};

/* The bytes of a type: its head and what its kind adds; 0 for a kind that is not known. */
size_t lp_btf_type_bytes(const struct btf_type *type);
/* Reads BTF that stays where it is; NULL when it is damaged or there is no memory. */
struct lp_btf *lp_btf_new(const void *data, size_t size, const struct lp_btf *base);
/* The same of a copy. */
struct lp_btf *lp_btf_copy(const void *data, size_t size, const struct lp_btf *base);
/* The same of what libbpf holds, which is freed. */
struct lp_btf *lp_btf_from_libbpf(struct btf *from, const struct lp_btf *base);
/* A type by its id; that of void for 0, NULL for a number that is none. */
const struct btf_type *lp_btf_at(const struct lp_btf *btf, uint32_t id);
/* "" for what has no name. */
const char *lp_btf_name_at(const struct lp_btf *btf, uint32_t offset);

#endif
