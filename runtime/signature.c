/* signature.c: the arguments and results of the kernel's functions, as C declares them, from the kernel's BTF. */
#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

struct lp_signatures {
    struct btf *btf;
    const struct btf_type **functions; /* by name */
    size_t count;
};

static const char *name_of(const struct btf *btf, const struct btf_type *type)
{
    const char *name = btf__name_by_offset(btf, type->name_off);

    return name ? name : "";
}

/* ---- the index ------------------------------------------------------------------------------------------------ */

static const struct btf *sorted_btf; /* qsort takes no context */

static int by_name(const void *a, const void *b)
{
    const struct btf_type *const *one = a;
    const struct btf_type *const *other = b;

    return strcmp(name_of(sorted_btf, *one), name_of(sorted_btf, *other));
}

static bool make_index(struct lp_signatures *signatures)
{
    uint32_t types = btf__type_cnt(signatures->btf);

    signatures->functions = calloc(types, sizeof(const struct btf_type *));
    if (!signatures->functions)
        return false;
    for (uint32_t id = 1; id < types; id++) {
        const struct btf_type *type = btf__type_by_id(signatures->btf, id);

        if (btf_is_func(type))
            signatures->functions[signatures->count++] = type;
    }
    sorted_btf = signatures->btf;
    qsort(signatures->functions, signatures->count, sizeof(const struct btf_type *), by_name);
    return true;
}

struct lp_signatures *lp_signatures_open(void)
{
    struct lp_signatures *signatures = calloc(1, sizeof(*signatures));
    int error = ENOMEM;

    if (signatures) {
        lp_error_capture();
        signatures->btf = btf__load_vmlinux_btf();
        error = errno;
    }
    if (signatures && signatures->btf && make_index(signatures))
        return signatures;
    lp_signatures_close(signatures);
    lp_error_set(error, "symbols", "this kernel's types (BTF) cannot be read: %s", strerror(error));
    lp_error_hint("they are in /sys/kernel/btf/vmlinux, on kernels with CONFIG_DEBUG_INFO_BTF");
    return NULL;
}

void lp_signatures_close(struct lp_signatures *signatures)
{
    if (!signatures)
        return;
    btf__free(signatures->btf);
    free(signatures->functions);
    free(signatures);
}

/* ---- text ----------------------------------------------------------------------------------------------------- */

struct text {
    char *out;
    size_t size;
    size_t length;
};

static void append(struct text *text, const char *part)
{
    int length = snprintf(text->out + text->length, text->size - text->length, "%s", part);

    text->length += (size_t)length;
    if (text->length >= text->size)
        text->length = text->size - 1;
}

/* A type as it stands before a name: "const char *", "struct file *", "size_t ". */
static void append_type(struct text *text, const struct btf *btf, uint32_t id, int depth)
{
    const struct btf_type *type = btf__type_by_id(btf, id);

    if (id == 0 || !type || depth > 16) {
        append(text, "void ");
        return;
    }
    switch (btf_kind(type)) {
    case BTF_KIND_PTR:
        append_type(text, btf, type->type, depth + 1);
        append(text, "*");
        return;
    case BTF_KIND_CONST:
        append(text, "const ");
        append_type(text, btf, type->type, depth + 1);
        return;
    case BTF_KIND_VOLATILE:
    case BTF_KIND_RESTRICT:
    case BTF_KIND_TYPE_TAG:
        append_type(text, btf, type->type, depth + 1);
        return;
    case BTF_KIND_ARRAY:
        append_type(text, btf, btf_array(type)->type, depth + 1);
        append(text, "*");
        return;
    case BTF_KIND_FUNC_PROTO:
        append_type(text, btf, type->type, depth + 1);
        append(text, "(function) ");
        return;
    case BTF_KIND_STRUCT:
        append(text, "struct ");
        break;
    case BTF_KIND_UNION:
        append(text, "union ");
        break;
    case BTF_KIND_FWD:
        append(text, btf_kflag(type) ? "union " : "struct ");
        break;
    case BTF_KIND_ENUM:
    case BTF_KIND_ENUM64:
        append(text, "enum ");
        break;
    default:
        break;
    }
    append(text, name_of(btf, type));
    append(text, " ");
}

static const struct btf_type *find(const struct lp_signatures *signatures, const char *name)
{
    size_t low = 0;
    size_t high = signatures->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name_of(signatures->btf, signatures->functions[middle]), name);

        if (order == 0)
            return signatures->functions[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

bool lp_signatures_find(const struct lp_signatures *signatures, const char *function, char *out, size_t size)
{
    struct text text = {out, size, 0};
    const struct btf_type *type = find(signatures, function);
    const struct btf_type *prototype = type ? btf__type_by_id(signatures->btf, type->type) : NULL;

    if (!prototype || !btf_is_func_proto(prototype) || size == 0)
        return false;
    append_type(&text, signatures->btf, prototype->type, 0);
    append(&text, "(");
    for (uint32_t i = 0; i < btf_vlen(prototype); i++) {
        const struct btf_param *parameter = btf_params(prototype) + i;
        const char *name = btf__name_by_offset(signatures->btf, parameter->name_off);

        append(&text, i > 0 ? ", " : "");
        if (parameter->type == 0 && (!name || name[0] == '\0')) {
            append(&text, "...");
            continue;
        }
        append_type(&text, signatures->btf, parameter->type, 0);
        append(&text, name ? name : "");
    }
    append(&text, ")");
    return true;
}
