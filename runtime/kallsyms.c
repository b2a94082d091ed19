/*
 * kallsyms.c: the kernel's functions, or all of its symbols, by name and by address, from /proc/kallsyms.
 *
 * The file has some megabytes, of which a third is names of functions: these are kept, in one block, and the rest never
 * fills memory, since touching it for the first time takes longer than reading it.
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
    uint32_t name, module; /* where they begin in names; 0: "", which is the kernel proper */
};

struct lp_kallsyms {
    char *names;
    size_t names_size, names_room;
    struct symbol *symbols; /* by address */
    size_t count, room;
    bool has_data; /* not functions alone */
};

static const char *name_of(const struct lp_kallsyms *kallsyms, size_t i)
{
    return kallsyms->names + kallsyms->symbols[i].name;
}

static void tell(const struct lp_kallsyms *kallsyms, size_t i, struct lp_kernel_symbol *out)
{
    *out = (struct lp_kernel_symbol){name_of(kallsyms, i), kallsyms->names + kallsyms->symbols[i].module,
                                     kallsyms->symbols[i].address};
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

/* Makes room for one more of `size` bytes behind `used` of them. False without memory. */
static bool grow(void **block, size_t *room, size_t used, size_t size)
{
    size_t larger = *room ? *room : 1 << 16;
    void *moved;

    while (larger < used + size)
        larger *= 2;
    if (larger == *room)
        return true;
    moved = realloc(*block, larger);
    if (!moved)
        return false;
    *block = moved;
    *room = larger;
    return true;
}

static bool add_name(struct lp_kallsyms *kallsyms, const char *name, size_t length, uint32_t *place)
{
    void *names = kallsyms->names;

    if (kallsyms->names_size > UINT32_MAX - length - 1 ||
        !grow(&names, &kallsyms->names_room, kallsyms->names_size, length + 1))
        return false;
    kallsyms->names = names;
    memcpy(kallsyms->names + kallsyms->names_size, name, length);
    kallsyms->names[kallsyms->names_size + length] = '\0';
    *place = (uint32_t)kallsyms->names_size;
    kallsyms->names_size += length + 1;
    return true;
}

/* The place of a module's name: that of the symbol before, mostly. */
static bool add_module(struct lp_kallsyms *kallsyms, const char *module, size_t length, uint32_t *place)
{
    uint32_t before = kallsyms->count > 0 ? kallsyms->symbols[kallsyms->count - 1].module : 0;
    const char *name = kallsyms->names + before;

    *place = before;
    return (strncmp(name, module, length) == 0 && name[length] == '\0') || add_name(kallsyms, module, length, place);
}

/* Sixteen hexadecimal digits; strtoull takes ten times as long, which is most of what a line takes. */
static uint64_t address_of(const char *digits)
{
    uint64_t address = 0;

    for (int i = 0; i < 16; i++) {
        uint64_t digit = (unsigned char)digits[i];

        address = address << 4 | ((digit & 15) + (digit >> 6) * 9); /* letters have bit 6 and begin at 1 */
    }
    return address;
}

/*
 * "ffffffff81000000 T name\t[module]", all on 64 bits: functions are t, T, w and W, variables b, d, r and v; what has
 * no place in memory (a) is left out. False without memory.
 */
static bool add_line(struct lp_kallsyms *kallsyms, const char *line, size_t length)
{
    enum { TYPE = 17, NAME = 19 };
    const char *name = line + NAME;
    const char *tab;
    void *symbols = kallsyms->symbols;
    struct symbol symbol = {0};

    if (length <= NAME || line[TYPE - 1] != ' ' || line[NAME - 1] != ' ' ||
        !strchr(kallsyms->has_data ? "tTwWbBdDrRvV" : "tTwW", line[TYPE]))
        return true;
    symbol.address = address_of(line);
    tab = memchr(name, '\t', length - NAME);
    if (tab && length - (size_t)(tab - line) > 3 && /* "\t[module]" */
        !add_module(kallsyms, tab + 2, length - (size_t)(tab - line) - 3, &symbol.module))
        return false;
    if (!add_name(kallsyms, name, tab ? (size_t)(tab - name) : length - NAME, &symbol.name) ||
        !grow(&symbols, &kallsyms->room, kallsyms->count * sizeof(symbol), sizeof(symbol)))
        return false;
    kallsyms->symbols = symbols;
    kallsyms->symbols[kallsyms->count++] = symbol;
    return true;
}

/* Takes the lines out of `text`; returns how many bytes they had, or a negative errno. */
static ssize_t add_lines(struct lp_kallsyms *kallsyms, const char *text, size_t size)
{
    const char *line = text;
    const char *newline;

    while ((newline = memchr(line, '\n', size - (size_t)(line - text)))) {
        if (!add_line(kallsyms, line, (size_t)(newline - line)))
            return -ENOMEM;
        line = newline + 1;
    }
    return line - text;
}

/* 0 or a negative errno. */
static int read_all(struct lp_kallsyms *kallsyms, int fd)
{
    enum { CHUNK = 1 << 16 };
    char *chunk = malloc(CHUNK);
    size_t size = 0;
    ssize_t got = chunk ? 0 : -ENOMEM;

    while (chunk && (got = lp_bytes_read_fully(fd, chunk + size, CHUNK - size)) > 0) {
        ssize_t taken = add_lines(kallsyms, chunk, size += (size_t)got);

        if (taken < 0) {
            got = taken;
            break;
        }
        if (taken == 0)
            taken = (ssize_t)size; /* no line of the kernel's is that long, or without an end */
        memmove(chunk, chunk + taken, size -= (size_t)taken);
    }
    free(chunk);
    return (int)got;
}

static int by_address(const void *a, const void *b)
{
    const struct symbol *one = a;
    const struct symbol *other = b;

    return one->address < other->address ? -1 : one->address > other->address;
}

/* The kernel writes its own functions in order; modules and BPF programs may lie before them. */
static void sort(struct lp_kallsyms *kallsyms)
{
    for (size_t i = 1; i < kallsyms->count; i++) {
        if (kallsyms->symbols[i].address < kallsyms->symbols[i - 1].address) {
            qsort(kallsyms->symbols, kallsyms->count, sizeof(*kallsyms->symbols), by_address);
            return;
        }
    }
}

/* NULL and a positive errno. */
static struct lp_kallsyms *read_and_sort(const char *path, bool has_data, int *error)
{
    struct lp_kallsyms *kallsyms = calloc(1, sizeof(*kallsyms));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint32_t nothing;
    int result = fd < 0 ? -errno : kallsyms && add_name(kallsyms, "", 0, &nothing) ? 0 : -ENOMEM;

    if (result == 0) {
        kallsyms->has_data = has_data;
        result = read_all(kallsyms, fd);
    }
    if (fd >= 0)
        close(fd);
    if (result == 0) {
        sort(kallsyms);
        return kallsyms;
    }
    lp_kallsyms_close(kallsyms);
    *error = -result;
    return NULL;
}

static const char proc_kallsyms[] = "/proc/kallsyms";
static pthread_t reader;
static bool is_reading;

static void *read_ahead(void *unused)
{
    int error;

    (void)unused;
    return read_and_sort(proc_kallsyms, false, &error);
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

struct lp_kallsyms *lp_kallsyms_open(const char *path, bool has_data)
{
    struct lp_kallsyms *kallsyms = path || has_data ? NULL : take_read_ahead();
    int error;

    path = path ? path : proc_kallsyms;
    if (!kallsyms)
        kallsyms = read_and_sort(path, has_data, &error);
    if (!kallsyms)
        lp_error_set(error, "symbols", "%s cannot be read: %s", path, strerror(error));
    return kallsyms;
}

void lp_kallsyms_close(struct lp_kallsyms *kallsyms)
{
    if (!kallsyms)
        return;
    free(kallsyms->symbols);
    free(kallsyms->names);
    free(kallsyms);
}

bool lp_glob_matches(const char *pattern, const char *text)
{
    size_t literal;

    /* Most do not even begin alike. */
    if (pattern[0] != text[0] && pattern[0] != '*' && pattern[0] != '?' && pattern[0] != '[' && pattern[0] != '\\')
        return false;
    literal = strcspn(pattern, "*?[\\");
    if (strncmp(pattern, text, literal) != 0)
        return false;
    return pattern[literal] == '\0' ? text[literal] == '\0' : fnmatch(pattern + literal, text + literal, 0) == 0;
}

bool lp_kallsyms_next(const struct lp_kallsyms *kallsyms, const char *pattern, const char *module, uint64_t *position,
                      struct lp_kernel_symbol *out)
{
    for (; *position < kallsyms->count; ++*position) {
        tell(kallsyms, *position, out);
        if (!lp_glob_matches(pattern, out->name) ||
            (module && module[0] != '\0' && !lp_glob_matches(module, out->module)))
            continue;
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
        const char *name = name_of(kallsyms, i);

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
    tell(kallsyms, behind - 1, out);
    return true;
}

const char *lp_kallsyms_alias(const struct lp_kallsyms *kallsyms, uint64_t address, uint32_t i)
{
    size_t at = first_from(kallsyms, address) + i;

    return at < kallsyms->count && kallsyms->symbols[at].address == address ? name_of(kallsyms, at) : NULL;
}

int lp_kallsyms_nearest(const struct lp_kallsyms *kallsyms, const char *name, const char **out, int max)
{
    struct lp_nearest nearest;

    lp_nearest_begin(&nearest, name, out, max);
    for (size_t i = 0; i < kallsyms->count; i++)
        lp_nearest_offer(&nearest, name_of(kallsyms, i));
    return nearest.count;
}
