/* object.c: a BPF object file, by way of libbpf: open, choose what to load, load, close. */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "btf.h"
#include "btf_check.h"
#include "elf_check.h"
#include "error.h"
#include "kernel_btf.h"
#include "layout_check.h"
#include "object.h"

/* What readelf -h calls the machine, for the objects that people confuse with BPF ones. */
static const char *machine_name(uint16_t machine)
{
    switch (machine) {
    case EM_X86_64:
        return "x86-64";
    case EM_AARCH64:
        return "arm64";
    case EM_386:
        return "x86";
    default:
        return "another machine";
    }
}

/* libbpf says "Invalid argument" to whatever is not a BPF object; this says what it is instead. */
static int check_elf(const char *name, const void *data, size_t size)
{
    Elf64_Ehdr header;
    const char *hint = "compile it with: clang -target bpf -g -O2 -c NAME.bpf.c -o NAME.bpf.o";

    if (size == 0)
        lp_error_set(EINVAL, "open", "%s: the object is empty", name);
    else if (size < SELFMAG || memcmp(data, ELFMAG, SELFMAG) != 0)
        lp_error_set(EINVAL, "open", "%s: not an ELF file, so not a BPF object", name);
    else if (size < sizeof(header))
        lp_error_set(EINVAL, "open", "%s: truncated: %zu bytes are less than an ELF header", name, size);
    else {
        memcpy(&header, data, sizeof(header));
        if (header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_machine == EM_BPF && header.e_type == ET_REL) {
            uint64_t table_end = header.e_shoff + (uint64_t)header.e_shnum * header.e_shentsize;

            if (header.e_shoff < size && table_end <= size)
                return 0;
            lp_error_set(EINVAL, "open",
                         "%s: truncated: its section table ends at byte %llu, and the file has only %zu", name,
                         (unsigned long long)table_end, size);
            hint = "copy or build the object again";
        } else {
            lp_error_set(EINVAL, "open", "%s: an ELF file for %s, not a BPF object", name,
                         header.e_machine == EM_BPF ? "BPF, but not a relocatable one"
                                                    : machine_name(header.e_machine));
        }
    }
    lp_error_hint("%s", hint);
    return -EINVAL;
}

/* BPF_LOG_STATS of the kernel's bpf_verifier.h (Linux 5.2): what checking a program took. */
enum { LOG_STATISTICS = 4 };

/* Sections that this libbpf does not know ("uprobe.multi/…" came with 1.3) and the attaching here does. */
static void name_types(const struct lp_object *object)
{
    struct bpf_program *program;
    struct lp_target target;

    bpf_object__for_each_program(program, object->bpf)
    {
        if (bpf_program__type(program) == BPF_PROG_TYPE_UNSPEC &&
            lp_target_parse(bpf_program__section_name(program), &target) == 0 && target.kind <= LP_URETPROBE)
            (void)bpf_program__set_type(program, BPF_PROG_TYPE_KPROBE);
    }
}

struct lp_object *lp_object_open(const char *name, const void *data, size_t size, const char *kconfig)
{
    /* The maps of its variables are named after it: not after the directory that it lies in. */
    const char *slash = strrchr(name, '/');
    LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = slash && slash[1] ? slash + 1 : name, .kconfig = kconfig,
                .btf_custom_path = lp_btf_kernel_path(),
                .kernel_log_level = lp_error_is_verbose() ? LOG_STATISTICS : 0);
    struct lp_object *object;

    if (check_elf(name, data, size) != 0 || lp_elf_check(name, data, size) != 0 || lp_btf_check(name, data, size) != 0)
        return NULL;
    object = calloc(1, sizeof(*object));
    if (object)
        object->name = strdup(name);
    if (!object || !object->name) {
        lp_error_set(ENOMEM, "open", "%s: no memory", name);
        goto fail;
    }
    lp_error_capture();
    object->bpf = bpf_object__open_mem(data, size, &opts);
    if (!object->bpf) {
        lp_error_from_libbpf(errno, "open", name);
        goto fail;
    }
    if (lp_layout_check(object) != 0)
        goto fail;
    name_types(object);
    return object;

fail:
    lp_object_close(object);
    return NULL;
}

/*
 * Puts the kernel's memory of a map of global variables (mappable since Linux 5.5) at the address where its initial
 * values were, so that the pointers which Lua holds show the live ones. libbpf itself does so only for skeletons.
 */
static int map_globals(const struct lp_object *object, struct bpf_map *map)
{
    size_t size;
    void *address = (void *)bpf_map__initial_value(map, &size);
    int protection = bpf_map__map_flags(map) & BPF_F_RDONLY_PROG ? PROT_READ : PROT_READ | PROT_WRITE;

    if (!bpf_map__is_internal(map) || !address || bpf_map__fd(map) < 0 || !(bpf_map__map_flags(map) & BPF_F_MMAPABLE))
        return 0;
    if (mmap(address, size, protection, MAP_SHARED | MAP_FIXED, bpf_map__fd(map), 0) == MAP_FAILED)
        return lp_error_set(errno, "load", "%s: the variables in %s cannot be mapped: %s", object->name,
                            bpf_map__name(map), strerror(errno));
    return 0;
}

int lp_object_load(struct lp_object *object)
{
    struct bpf_map *map;
    int error;

    lp_error_capture();
    error = bpf_object__load(object->bpf);
    if (error) {
        (void)lp_error_from_libbpf(-error, "load", object->name);
        lp_object_explain_load(object);
        return error;
    }
    bpf_object__for_each_map(map, object->bpf)
    {
        error = map_globals(object, map);
        if (error)
            return error;
    }
    return 0;
}

void lp_object_close(struct lp_object *object)
{
    if (!object)
        return;
    lp_object_close_variants(object);
    bpf_object__close(object->bpf);
    free(object->name);
    free(object);
}

void lp_data_changes(void)
{
}

struct lp_btf *lp_object_btf(const struct lp_object *object)
{
    const struct btf *btf = bpf_object__btf(object->bpf);
    uint32_t size;
    const void *data = btf ? btf__raw_data(btf, &size) : NULL;

    return data ? lp_btf_copy(data, size, NULL) : NULL;
}

const char *lp_version_libbpf(void)
{
    return libbpf_version_string();
}
