/*
 * declaration.c: types as C declares them: "const char *name", "__u64 slots[16]", "int (*open)(struct inode *)".
 *
 * A declaration grows from its name outwards, as C's grammar has it: a pointer puts a star before what is there, an
 * array and a function add brackets behind it.
 */
#include "btf.h"

#include <stdio.h>
#include <string.h>

/* Damaged types can be functions that take themselves, many times each. */
enum { MAX_DEPTH = 16, MAX_STEPS = 2000 };

struct text {
    char *out;
    size_t size;
    size_t length;
    uint32_t *steps; /* that may still be made, of all texts of a declaration */
};

static void append(struct text *text, const char *part)
{
    size_t room = text->size - text->length - 1;
    size_t length = strlen(part);

    if (length > room)
        length = room;
    memcpy(text->out + text->length, part, length);
    text->length += length;
    text->out[text->length] = '\0';
}

static void prepend(struct text *text, const char *part)
{
    size_t length = strlen(part);

    if (text->length + length >= text->size)
        return;
    memmove(text->out + length, text->out, text->length + 1);
    memcpy(text->out, part, length);
    text->length += length;
}

static const char *keyword(const struct btf_type *type)
{
    switch (btf_kind(type)) {
    case BTF_KIND_STRUCT:
        return "struct ";
    case BTF_KIND_UNION:
        return "union ";
    case BTF_KIND_FWD:
        return btf_kflag(type) ? "union " : "struct ";
    case BTF_KIND_ENUM:
    case BTF_KIND_ENUM64:
        return "enum ";
    default:
        return "";
    }
}

static void declare(struct text *text, const struct lp_btf *btf, uint32_t id, int depth);

static void append_parameters(struct text *text, const struct lp_btf *btf, const struct btf_type *prototype, int depth)
{
    append(text, "(");
    for (uint32_t i = 0; i < btf_vlen(prototype) && *text->steps > 0; i++) {
        const struct btf_param *parameter = btf_params(prototype) + i;
        const char *name = lp_btf_name_at(btf, parameter->name_off);
        char buffer[512];
        struct text one = {buffer, sizeof(buffer), 0, text->steps};

        append(text, i > 0 ? ", " : "");
        buffer[0] = '\0';
        append(&one, name);
        if (parameter->type == 0 && one.length == 0)
            append(&one, "...");
        else
            declare(&one, btf, parameter->type, depth + 1);
        append(text, buffer);
    }
    append(text, ")");
}

/* The outermost part: the word for what is left, and a blank before whatever was built. */
static void finish(struct text *text, const char *word, const char *name)
{
    char first = text->out[0];

    if (first != '\0')
        prepend(text, " ");
    prepend(text, name);
    prepend(text, word);
}

static void declare(struct text *text, const struct lp_btf *btf, uint32_t id, int depth)
{
    const struct btf_type *type = lp_btf_at(btf, id);
    char count[16];

    if (id == 0 || !type || depth > MAX_DEPTH || *text->steps == 0) {
        finish(text, "", "void");
        return;
    }
    (*text->steps)--;
    switch (btf_kind(type)) {
    case BTF_KIND_PTR:
        prepend(text, "*");
        break;
    case BTF_KIND_CONST:
        /* Of a pointer it stands behind the star; all others have it in front. */
        if (btf_is_ptr(lp_btf_at(btf, type->type))) {
            prepend(text, text->length ? "const " : "const");
            break;
        }
        declare(text, btf, type->type, depth + 1);
        prepend(text, "const ");
        return;
    case BTF_KIND_VOLATILE:
    case BTF_KIND_RESTRICT:
    case BTF_KIND_TYPE_TAG:
        break;
    case BTF_KIND_ARRAY:
    case BTF_KIND_FUNC_PROTO:
        if (text->out[0] == '*') {
            prepend(text, "(");
            append(text, ")");
        }
        if (btf_is_array(type)) {
            snprintf(count, sizeof(count), "[%u]", btf_array(type)->nelems);
            append(text, btf_array(type)->nelems ? count : "[]");
            declare(text, btf, btf_array(type)->type, depth + 1);
        } else {
            append_parameters(text, btf, type, depth);
            declare(text, btf, type->type, depth + 1);
        }
        return;
    default:
        finish(text, keyword(type), type->name_off ? lp_btf_name_at(btf, type->name_off) : "(anonymous)");
        return;
    }
    declare(text, btf, type->type, depth + 1);
}

void lp_btf_declaration(const struct lp_btf *btf, uint32_t id, const char *name, char *out, size_t size)
{
    uint32_t steps = MAX_STEPS;
    struct text text = {out, size, 0, &steps};

    if (size == 0)
        return;
    out[0] = '\0';
    append(&text, name);
    declare(&text, btf, id, 0);
}
