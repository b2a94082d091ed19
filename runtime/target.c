/*
 * target.c: what to probe, as text.
 *
 * Users write "kind:target"; programs carry "kind/target" in their section name. Both are parsed here, once.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "error.h"

/* The kinds, by the words that users and section names have for them. */
static const struct {
    const char *word;
    int kind;
    const char *name; /* as users write it */
} kinds[] = {
    {"kprobe", LP_KPROBE, "kprobe"},
    {"kretprobe", LP_KRETPROBE, "kretprobe"},
    {"tracepoint", LP_TRACEPOINT, "tracepoint"},
    {"tp", LP_TRACEPOINT, "tracepoint"},
};

static int malformed(const char *text, const char *why)
{
    lp_error_set(EINVAL, "attach", "target '%.200s': %s", text, why);
    lp_error_hint("a target is written kprobe:FUNCTION, kretprobe:FUNCTION or tracepoint:CATEGORY:NAME");
    return -EINVAL;
}

/* Copies `length` bytes as a name: letters, digits and what compilers and kernels add to them. */
static bool copy_name(char *out, size_t size, const char *text, size_t length)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.$-";

    if (length == 0 || length >= size || text[0] == '.' || strspn(text, allowed) < length)
        return false;
    memcpy(out, text, length);
    out[length] = '\0';
    return true;
}

int lp_target_parse(const char *text, struct lp_target *out)
{
    size_t word = strcspn(text, ":/");
    const char *rest = text + word + 1;
    const char *kind = NULL;
    size_t separator;

    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strlen(kinds[i].word) == word && strncmp(kinds[i].word, text, word) == 0) {
            out->kind = kinds[i].kind;
            kind = kinds[i].name;
        }
    }
    if (!kind)
        return malformed(text, "names no kind of probe that this version can attach");
    if (text[word] == '\0')
        return malformed(text, "says no function or tracepoint");
    if (out->kind != LP_TRACEPOINT) {
        if (!copy_name(out->name, sizeof(out->name), rest, strlen(rest)))
            return malformed(text, "is not the name of a function");
        snprintf(out->text, sizeof(out->text), "%s:%s", kind, out->name);
        return 0;
    }
    separator = strcspn(rest, ":/");
    if (rest[separator] == '\0' || !copy_name(out->category, sizeof(out->category), rest, separator) ||
        !copy_name(out->name, sizeof(out->name), rest + separator + 1, strlen(rest + separator + 1)))
        return malformed(text, "is not a category and the name of a tracepoint in it");
    snprintf(out->text, sizeof(out->text), "%s:%s:%s", kind, out->category, out->name);
    return 0;
}
