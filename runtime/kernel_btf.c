/*
 * kernel_btf.c: the running kernel's types.
 *
 * vmlinux has some 100,000 to 150,000 types, and libbpf looks a name up by comparing it with each. Here an index of the
 * names is made once, in about the time of one such search, so that each look-up after it is a few comparisons.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "btf_check.h"
#include "bytes.h"
#include "error.h"
#include "kernel_btf.h"

static struct btf *kernel;
static char *custom_path;
/* Type ids by the hash of their names, open addressing; 0 is empty. The size is a power of two. */
static uint32_t *slots;
static uint32_t slot_mask;

/* FNV-1a */
static uint32_t hash(const char *name)
{
    uint32_t value = 2166136261;

    for (; *name; name++)
        value = (value ^ (uint8_t)*name) * 16777619;
    return value;
}

static const char *name_of(const struct btf_type *type)
{
    const char *name = btf__name_by_offset(kernel, type->name_off);

    return name ? name : "";
}

static bool is_looked_up(const struct btf_type *type)
{
    return type->name_off != 0 && (btf_is_composite(type) || btf_is_any_enum(type) || btf_is_typedef(type) ||
                                   btf_is_func(type) || btf_is_int(type) || btf_is_var(type));
}

static bool make_index(void)
{
    uint32_t count = btf__type_cnt(kernel);
    uint32_t size = 1024;

    while (size < 2 * count)
        size *= 2;
    slots = calloc(size, sizeof(*slots));
    if (!slots)
        return false;
    slot_mask = size - 1;
    for (uint32_t id = 1; id < count; id++) {
        const struct btf_type *type = btf__type_by_id(kernel, id);
        uint32_t slot;

        if (!is_looked_up(type))
            continue;
        slot = hash(name_of(type)) & slot_mask;
        while (slots[slot])
            slot = (slot + 1) & slot_mask;
        slots[slot] = id;
    }
    return true;
}

/* A file from the user is looked at first: libbpf trusts what it reads. */
static struct btf *read_custom(const char *path)
{
    struct lp_bytes bytes;
    struct btf *btf = NULL;
    int error = lp_bytes_read(path, (size_t)256 << 20, &bytes);

    if (error)
        return NULL;
    if (lp_btf_check_file(path, bytes.data, bytes.size) == 0) {
        btf = btf__parse(path, NULL);
        if (!btf) {
            lp_error_set(errno, "types", "%s: holds no types (BTF) that can be read: %s", path, strerror(errno));
            lp_error_hint("make one for this kernel: pahole --btf_encode_detached FILE vmlinux");
        }
    }
    lp_bytes_free(&bytes);
    return btf;
}

static struct btf *read_kernel(void)
{
    struct btf *btf = btf__load_vmlinux_btf();

    if (btf)
        return btf;
    lp_error_set(errno, "types", "this kernel's types (BTF) cannot be read: %s", strerror(errno));
    lp_error_hint("they are in /sys/kernel/btf/vmlinux, on kernels with CONFIG_DEBUG_INFO_BTF; --btf FILE or "
                  "LUAPROBE_BTF names a file of them");
    return NULL;
}

const struct btf *lp_btf_kernel(void)
{
    if (kernel)
        return kernel;
    lp_error_capture();
    kernel = custom_path ? read_custom(custom_path) : read_kernel();
    if (kernel && !make_index()) {
        btf__free(kernel);
        kernel = NULL;
        lp_error_set(ENOMEM, "types", "no memory for the kernel's types");
    }
    return kernel;
}

int lp_btf_kernel_use(const char *path)
{
    char *copy = strdup(path);

    if (!copy)
        return lp_error_set(ENOMEM, "types", "%s: no memory", path);
    free(custom_path);
    custom_path = copy;
    btf__free(kernel);
    free(slots);
    kernel = NULL;
    slots = NULL;
    return lp_btf_kernel() ? 0 : -lp_error_last()->code;
}

const char *lp_btf_kernel_path(void)
{
    return custom_path;
}

uint32_t lp_btf_kernel_find(uint32_t kind, const char *name)
{
    if (!lp_btf_kernel())
        return 0;
    for (uint32_t slot = hash(name) & slot_mask; slots[slot]; slot = (slot + 1) & slot_mask) {
        const struct btf_type *type = btf__type_by_id(kernel, slots[slot]);
        uint32_t found = btf_kind(type) == BTF_KIND_ENUM64 ? BTF_KIND_ENUM : btf_kind(type);

        if (found == kind && strcmp(name_of(type), name) == 0)
            return slots[slot];
    }
    return 0;
}

struct btf *lp_btf_module(const char *module)
{
    struct btf *btf;

    if (!lp_btf_kernel())
        return NULL;
    btf = btf__load_module_btf(module, kernel);
    if (!btf)
        lp_error_set(errno, "types", "module %s: its types (BTF) cannot be read: %s", module, strerror(errno));
    return btf;
}

void lp_btf_free(struct btf *btf)
{
    btf__free(btf);
}
