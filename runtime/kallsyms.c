/*
 * kallsyms.c: the kernel's functions, by name and by address, from /proc/kallsyms.
 *
 * The file is read once, a few megabytes, and kept as it is: symbols are pointers into it.
 */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "error.h"
#include "nearest.h"

struct symbol {
    uint64_t address;
    const char *name;
    const char *module; /* "" for the kernel proper */
};

struct lp_kallsyms {
    struct lp_bytes text;
    struct symbol *symbols; /* by address */
    size_t count;
};

/* "ffffffff81000000 T name\t[module]": functions are t, T, w and W. False for anything else. */
static bool parse_line(char *line, struct symbol *out)
{
    char *end;
    char *name;
    char *module;

    out->address = strtoull(line, &end, 16);
    if (end == line || end[0] != ' ' || end[1] == '\0' || !strchr("tTwW", end[1]) || end[2] != ' ')
        return false;
    name = end + 3;
    module = strchr(name, '\t');
    out->name = name;
    out->module = "";
    if (module) {
        *module++ = '\0';
        module[strcspn(module, "]")] = '\0';
        out->module = *module == '[' ? module + 1 : module;
    }
    return name[0] != '\0';
}

static int by_address(const void *a, const void *b)
{
    const struct symbol *one = a;
    const struct symbol *other = b;

    return one->address < other->address ? -1 : one->address > other->address;
}

static bool parse(struct lp_kallsyms *kallsyms)
{
    size_t lines = 0;
    char *saved;

    for (size_t i = 0; i < kallsyms->text.size; i++)
        lines += kallsyms->text.data[i] == '\n';
    kallsyms->symbols = calloc(lines + 1, sizeof(*kallsyms->symbols));
    if (!kallsyms->symbols)
        return false;
    for (char *line = strtok_r((char *)kallsyms->text.data, "\n", &saved); line; line = strtok_r(NULL, "\n", &saved)) {
        if (parse_line(line, &kallsyms->symbols[kallsyms->count]))
            kallsyms->count++;
    }
    qsort(kallsyms->symbols, kallsyms->count, sizeof(*kallsyms->symbols), by_address);
    return true;
}

/* NULL and a positive errno. */
static struct lp_kallsyms *read_and_parse(const char *path, int *error)
{
    struct lp_kallsyms *kallsyms = calloc(1, sizeof(*kallsyms));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int result = !kallsyms ? -ENOMEM : fd < 0 ? -errno : lp_bytes_read_stream(fd, &kallsyms->text);

    if (fd >= 0)
        close(fd);
    if (result == 0 && parse(kallsyms))
        return kallsyms;
    lp_kallsyms_close(kallsyms);
    *error = result ? -result : ENOMEM;
    return NULL;
}

static const char proc_kallsyms[] = "/proc/kallsyms";
static pthread_t reader;
static bool is_reading;

static void *read_ahead(void *unused)
{
    int error;

    (void)unused;
    return read_and_parse(proc_kallsyms, &error);
}

void lp_kallsyms_read_ahead(void)
{
    sigset_t all;
    sigset_t before;

    if (is_reading)
        return;
    /* Signals are for the thread that has Lua. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    is_reading = pthread_create(&reader, NULL, read_ahead, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* What was read ahead, or NULL. */
static struct lp_kallsyms *take_read_ahead(void)
{
    void *kallsyms = NULL;

    if (is_reading)
        pthread_join(reader, &kallsyms);
    is_reading = false;
    return kallsyms;
}

struct lp_kallsyms *lp_kallsyms_open(const char *path)
{
    struct lp_kallsyms *kallsyms = path ? NULL : take_read_ahead();
    int error;

    path = path ? path : proc_kallsyms;
    if (!kallsyms)
        kallsyms = read_and_parse(path, &error);
    if (!kallsyms)
        lp_error_set(error, "symbols", "%s cannot be read: %s", path, strerror(error));
    return kallsyms;
}

void lp_kallsyms_close(struct lp_kallsyms *kallsyms)
{
    if (!kallsyms)
        return;
    free(kallsyms->symbols);
    lp_bytes_free(&kallsyms->text);
    free(kallsyms);
}

bool lp_glob_matches(const char *pattern, const char *text)
{
    size_t literal = strcspn(pattern, "*?[\\");

    if (strncmp(pattern, text, literal) != 0)
        return false;
    return pattern[literal] == '\0' ? text[literal] == '\0' : fnmatch(pattern + literal, text + literal, 0) == 0;
}

bool lp_kallsyms_next(const struct lp_kallsyms *kallsyms, const char *pattern, const char *module, uint64_t *position,
                      struct lp_kernel_symbol *out)
{
    for (; *position < kallsyms->count; ++*position) {
        const struct symbol *symbol = &kallsyms->symbols[*position];

        if (!lp_glob_matches(pattern, symbol->name) ||
            (module && module[0] != '\0' && !lp_glob_matches(module, symbol->module)))
            continue;
        *out = (struct lp_kernel_symbol){symbol->name, symbol->module, symbol->address};
        ++*position;
        return true;
    }
    return false;
}

/* Parts that compilers put elsewhere, and markers, which nobody calls. */
static bool is_fragment(const char *name)
{
    return name[0] == '.' || strstr(name, ".cold") || strncmp(name, "__pfx_", 6) == 0 ||
           strncmp(name, "__cfi_", 6) == 0;
}

static size_t common_length(const char *a, const char *b, size_t most)
{
    size_t length = 0;

    while (length < most && a[length] == b[length])
        length++;
    return length;
}

size_t lp_kallsyms_complete(const struct lp_kallsyms *kallsyms, const char *prefix, const char **out, size_t max,
                            size_t *common)
{
    size_t length = strlen(prefix);
    const char *first = NULL;
    size_t count = 0;

    *common = 0;
    for (size_t i = 0; i < kallsyms->count; i++) {
        const char *name = kallsyms->symbols[i].name;

        if (strncmp(name, prefix, length) != 0 || is_fragment(name))
            continue;
        if (!first)
            *common = strlen(first = name);
        *common = common_length(first, name, *common);
        if (count < max)
            out[count] = name;
        count++;
    }
    return count;
}

/* The index of the first symbol that does not lie before an address. */
static size_t first_from(const struct lp_kallsyms *kallsyms, uint64_t address)
{
    size_t low = 0;
    size_t high = kallsyms->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (kallsyms->symbols[middle].address < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool lp_kallsyms_at(const struct lp_kallsyms *kallsyms, uint64_t address, struct lp_kernel_symbol *out)
{
    size_t behind = address == UINT64_MAX ? kallsyms->count : first_from(kallsyms, address + 1);

    if (behind == 0 || kallsyms->symbols[behind - 1].address == 0)
        return false;
    *out = (struct lp_kernel_symbol){kallsyms->symbols[behind - 1].name, kallsyms->symbols[behind - 1].module,
                                     kallsyms->symbols[behind - 1].address};
    return true;
}

const char *lp_kallsyms_alias(const struct lp_kallsyms *kallsyms, uint64_t address, uint32_t i)
{
    size_t at = first_from(kallsyms, address) + i;

    return at < kallsyms->count && kallsyms->symbols[at].address == address ? kallsyms->symbols[at].name : NULL;
}

int lp_kallsyms_nearest(const struct lp_kallsyms *kallsyms, const char *name, const char **out, int max)
{
    struct lp_nearest nearest;

    lp_nearest_begin(&nearest, name, out, max);
    for (size_t i = 0; i < kallsyms->count; i++)
        lp_nearest_offer(&nearest, kallsyms->symbols[i].name);
    return nearest.count;
}
