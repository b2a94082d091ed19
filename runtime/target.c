/*
 * target.c: what to probe, as text.
 *
 * Users write "kind:target"; programs carry "kind/target" in their section name. Both are parsed here, once, into the
 * same struct, so whatever is said of one holds for the other.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

/* What stands behind the kind. */
enum form { FUNCTION, SYSCALL, TRACEPOINT, NAME, BINARY, USDT, PROFILE, COUNTER };

static const char *const form_text[] = {
    [FUNCTION] = "FUNCTION, FUNCTION+OFFSET, MODULE:FUNCTION, a wildcard or 0xADDRESS",
    [SYSCALL] = "the name of a system call: openat",
    [TRACEPOINT] = "CATEGORY:NAME",
    [NAME] = "a name",
    [BINARY] = "BINARY:FUNCTION, BINARY:FUNCTION+OFFSET or BINARY:0xOFFSET",
    [USDT] = "BINARY:PROVIDER:NAME",
    [PROFILE] = "hz:N, s:N, ms:N or us:N",
    [COUNTER] = "EVENT or EVENT:PERIOD",
};

/* The kinds, by the words that users and section names have for them; the first of a kind is what we call it. */
static const struct kind {
    const char *word;
    int kind;
    enum form form;
} kinds[] = {
    {"kprobe", LP_KPROBE, FUNCTION},
    {"kretprobe", LP_KRETPROBE, FUNCTION},
    {"ksyscall", LP_KSYSCALL, SYSCALL},
    {"kretsyscall", LP_KRETSYSCALL, SYSCALL},
    {"uprobe", LP_UPROBE, BINARY},
    {"uretprobe", LP_URETPROBE, BINARY},
    {"usdt", LP_USDT, USDT},
    {"tracepoint", LP_TRACEPOINT, TRACEPOINT},
    {"tp", LP_TRACEPOINT, TRACEPOINT},
    {"raw_tracepoint", LP_RAW_TRACEPOINT, NAME},
    {"raw_tp", LP_RAW_TRACEPOINT, NAME},
    {"tp_btf", LP_BTF_TRACEPOINT, NAME},
    {"fentry", LP_FENTRY, NAME},
    {"fexit", LP_FEXIT, NAME},
    {"profile", LP_PROFILE, PROFILE},
    {"software", LP_SOFTWARE, COUNTER},
    {"hardware", LP_HARDWARE, COUNTER},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* What section names append to a kind: sleepable, writable, several functions. */
static const char *const suffixes[] = {"", ".s", ".w", ".multi", ".multi.s"};

/* As system calls are called where they are entered; both architectures have had wrappers since Linux 4.19. */
#ifdef __aarch64__
#define SYSCALL_PREFIX "__arm64_sys_"
#else
#define SYSCALL_PREFIX "__x64_sys_"
#endif

static const char name_bytes[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.$-";
static const char wildcard_bytes[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.$-*?[]";

/* A piece of the text. */
struct span {
    const char *start;
    size_t length;
};

static struct span span_of(const char *text)
{
    return (struct span){text, strlen(text)};
}

static bool copy(char *out, size_t size, struct span span)
{
    if (span.length == 0 || span.length >= size)
        return false;
    memcpy(out, span.start, span.length);
    out[span.length] = '\0';
    return true;
}

/* Copies a name of the kernel's: no path may be made of it. */
static bool copy_name(char *out, size_t size, struct span span, const char *allowed)
{
    return span.length > 0 && span.start[0] != '.' && strspn(span.start, allowed) >= span.length &&
           copy(out, size, span);
}

/* Copies what may be nearly anything, a path or a C++ symbol, but nothing that a terminal would act upon. */
static bool copy_printable(char *out, size_t size, struct span span)
{
    for (size_t i = 0; i < span.length; i++) {
        if (iscntrl((unsigned char)span.start[i]))
            return false;
    }
    return copy(out, size, span);
}

/* A number in C's notation that takes the whole span. */
static bool read_number(struct span span, uint64_t *out)
{
    char digits[24];
    char *end;

    if (!copy(digits, sizeof(digits), span) || !isdigit((unsigned char)digits[0]))
        return false;
    errno = 0;
    *out = strtoull(digits, &end, 0);
    return *end == '\0' && errno == 0;
}

/* Cuts the span at the last (or first) of the separators: `head` is what is before it. False when there is none. */
static bool cut_last(struct span *span, const char *separators, struct span *tail)
{
    for (size_t i = span->length; i > 0; i--) {
        if (strchr(separators, span->start[i - 1])) {
            *tail = (struct span){span->start + i, span->length - i};
            span->length = i - 1;
            return true;
        }
    }
    return false;
}

/* The same at a colon, but not at those of "::", which C++ and Rust have in names. */
static bool cut_symbol(struct span *span, struct span *symbol)
{
    for (size_t i = span->length; i > 0; i--) {
        if (span->start[i - 1] != ':')
            continue;
        if (i > 1 && span->start[i - 2] == ':') {
            i--;
            continue;
        }
        *symbol = (struct span){span->start + i, span->length - i};
        span->length = i - 1;
        return true;
    }
    return false;
}

static bool cut_first(struct span *span, const char *separators, struct span *head)
{
    size_t length = strcspn(span->start, separators);

    if (length >= span->length)
        return false;
    *head = (struct span){span->start, length};
    span->start += length + 1;
    span->length -= length + 1;
    return true;
}

/* Takes "+OFFSET" off the end of a symbol. */
static bool cut_offset(struct span *symbol, uint64_t *offset)
{
    struct span whole = *symbol;
    struct span number;

    if (!cut_last(symbol, "+", &number))
        return true;
    if (number.length > 0 && isdigit((unsigned char)number.start[0]))
        return read_number(number, offset);
    *symbol = whole; /* a '+' in the name itself, as Go and C++ have them */
    return true;
}

static bool has_wildcard(const char *name)
{
    return strpbrk(name, "*?[") != NULL;
}

static bool parse_function(struct span rest, struct lp_target *out)
{
    struct span module;

    if (isdigit((unsigned char)rest.start[0]))
        return read_number(rest, &out->offset) && out->offset > 0;
    if (cut_first(&rest, ":", &module) && !copy_name(out->category, sizeof(out->category), module, wildcard_bytes))
        return false;
    return cut_offset(&rest, &out->offset) && copy_name(out->name, sizeof(out->name), rest, wildcard_bytes);
}

static bool parse_syscall(struct span rest, struct lp_target *out)
{
    char name[128];

    if (!copy_name(name, sizeof(name), rest, name_bytes))
        return false;
    snprintf(out->name, sizeof(out->name), SYSCALL_PREFIX "%s", name);
    return true;
}

static bool parse_tracepoint(struct span rest, struct lp_target *out)
{
    struct span category;

    return cut_first(&rest, ":/", &category) &&
           copy_name(out->category, sizeof(out->category), category, wildcard_bytes) &&
           copy_name(out->name, sizeof(out->name), rest, wildcard_bytes);
}

static bool parse_binary(struct span path, struct lp_target *out)
{
    struct span symbol;

    if (!cut_symbol(&path, &symbol) || !copy_printable(out->path, sizeof(out->path), path))
        return false;
    if (symbol.length > 0 && isdigit((unsigned char)symbol.start[0]))
        return read_number(symbol, &out->offset);
    return cut_offset(&symbol, &out->offset) && copy_printable(out->name, sizeof(out->name), symbol);
}

static bool parse_usdt(struct span path, struct lp_target *out)
{
    struct span provider;
    struct span name;

    return cut_last(&path, ":", &name) && cut_last(&path, ":", &provider) &&
           copy_printable(out->path, sizeof(out->path), path) &&
           copy_name(out->category, sizeof(out->category), provider, wildcard_bytes) &&
           copy_name(out->name, sizeof(out->name), name, wildcard_bytes);
}

/* A rate or a time between samples; perf_event.c makes a sampling period of it. */
static bool parse_profile(struct span rest, struct lp_target *out)
{
    static const char *const units[] = {"hz", "s", "ms", "us"};
    struct span unit;

    if (!cut_first(&rest, ":/", &unit) || !copy(out->name, sizeof(out->name), unit) ||
        !read_number(rest, &out->period) || out->period == 0)
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(out->name, units[i]) == 0)
            return true;
    }
    return false;
}

static bool parse_counter(struct span rest, struct lp_target *out)
{
    struct span name;

    if (!cut_first(&rest, ":/", &name))
        return copy_name(out->name, sizeof(out->name), rest, name_bytes);
    return copy_name(out->name, sizeof(out->name), name, name_bytes) && read_number(rest, &out->period) &&
           out->period > 0;
}

static bool parse_form(enum form form, struct span rest, struct lp_target *out)
{
    switch (form) {
    case FUNCTION:
        return parse_function(rest, out);
    case SYSCALL:
        return parse_syscall(rest, out);
    case TRACEPOINT:
        return parse_tracepoint(rest, out);
    case NAME:
        return copy_name(out->name, sizeof(out->name), rest, name_bytes);
    case BINARY:
        return parse_binary(rest, out);
    case USDT:
        return parse_usdt(rest, out);
    case PROFILE:
        return parse_profile(rest, out);
    default:
        return parse_counter(rest, out);
    }
}

/* The kind that the first `length` bytes name, with or without a suffix; NULL for none. */
static const struct kind *find_kind(const char *text, size_t length)
{
    for (size_t i = 0; i < KINDS; i++) {
        size_t word = strlen(kinds[i].word);

        if (length < word || strncmp(kinds[i].word, text, word) != 0)
            continue;
        for (size_t s = 0; s < sizeof(suffixes) / sizeof(suffixes[0]); s++) {
            if (strlen(suffixes[s]) == length - word && strncmp(suffixes[s], text + word, length - word) == 0)
                return &kinds[i];
        }
    }
    return NULL;
}

static const char *kind_name(int kind)
{
    for (size_t i = 0; i < KINDS; i++) {
        if (kinds[i].kind == kind)
            return kinds[i].word;
    }
    return "";
}

/*
 * The target as users write it, whichever way it came: section names have slashes where users write colons.
 */
static void write_text(struct lp_target *target, const struct kind *kind, const char *rest)
{
    char *slash;

    snprintf(target->word, sizeof(target->word), "%s", kind_name(kind->kind));
    snprintf(target->text, sizeof(target->text), "%s:%s", target->word, rest);
    slash = strchr(target->text, '/');
    if (slash && kind->form != BINARY && kind->form != USDT)
        *slash = ':';
}

/* It may be anything, and it goes to a terminal. */
static const char *printable(const char *text, char *out, size_t size)
{
    size_t shown = strlen(text);

    while (lp_text_escaped_length(text, shown) >= size)
        shown--;
    lp_text_escape(text, shown, out);
    out[lp_text_escaped_length(text, shown)] = '\0';
    return out;
}

static int malformed(const char *text, const struct kind *kind, const char *why)
{
    char safe[256];

    printable(text, safe, sizeof(safe));
    if (!kind) {
        lp_error_set(EINVAL, "attach", "'%s' is no target: it does not begin with a kind of probe", safe);
        lp_error_hint(
            "write KIND:TARGET, like kprobe:vfs_read; the kinds are kprobe, kretprobe, ksyscall, kretsyscall, "
            "uprobe, uretprobe, usdt, tracepoint, raw_tracepoint, tp_btf, fentry, fexit, profile, software "
            "and hardware");
        return -EINVAL;
    }
    lp_error_set(EINVAL, "attach", "'%s' is no target: %s", safe, why);
    lp_error_hint("behind %s: stands %s", kind->word, form_text[kind->form]);
    return -EINVAL;
}

/* Not all of its four kilobytes: a probe may have thousands of targets. */
static void clear(struct lp_target *target)
{
    target->returns = target->wildcard = false;
    target->word[0] = target->category[0] = target->path[0] = target->name[0] = target->text[0] = '\0';
    target->kind = 0;
    target->offset = target->period = 0;
}

int lp_target_parse(const char *text, struct lp_target *out)
{
    size_t word = strcspn(text, ":/");
    const struct kind *kind = find_kind(text, word);

    clear(out);
    if (!kind || text[word] == '\0')
        return malformed(text, kind, "it says nothing behind the kind");
    if (!parse_form(kind->form, span_of(text + word + 1), out))
        return malformed(text, kind, "what follows the kind cannot be read");
    if (kind->form == FUNCTION && find_kind(out->category, strlen(out->category)))
        return malformed(text, kind, "it names a second kind of probe; no module is called so");
    out->kind = kind->kind;
    out->returns = kind->kind == LP_KRETPROBE || kind->kind == LP_KRETSYSCALL || kind->kind == LP_URETPROBE ||
                   kind->kind == LP_FEXIT;
    out->wildcard = has_wildcard(out->name) || has_wildcard(out->category);
    if (out->returns && out->offset > 0 && out->name[0] != '\0')
        return malformed(text, kind, "a return has no offset inside of the function");
    if (out->wildcard && out->offset > 0)
        return malformed(text, kind, "a wildcard stands for whole functions, without an offset");
    write_text(out, kind, text + word + 1);
    return 0;
}
