/*
 * pack.c: the trailer of a one-file script: BPF objects in a Lua comment at the end of its text.
 *
 *     --[==[luaprobe-pack 1
 *     -- a note for readers                  always the same; by it a trailer that is cut off is known
 *     script newline-added                   or: script as-is; whether pack had to end its last line
 *     object opensnoop                       for each object and architecture:
 *     arch x86_64
 *     source HEX                             SHA-256 of the C text that it was compiled from, or - when not known
 *     flags -DX=1                            what the script added to the compiler's flags, or -
 *     sha256 HEX                             of the object
 *     size 20488
 *     clang 14.0.6
 *     sections kprobe/do_sys_openat2 …
 *     features 5.8:ringbuf …
 *     data 93                                lines of base64, of the deflated object
 *     …
 *     ]==]--luaprobe-pack-end HEX            SHA-256 of all from the first line to before this one
 *
 * Whoever sent the file may have made all of this up, and it is run by root: every line is at its place or the file is
 * refused, sizes are bounded before memory is asked for, and nothing is decompressed here.
 */
#include "pack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

static const char begin_mark[] = "--[==[luaprobe-pack ";
static const char end_mark[] = "]==]--luaprobe-pack-end ";

static const char note[] =
    "-- BPF objects, put here by `luaprobe pack`; `luaprobe inspect` shows them, `luaprobe unpack` takes them off.";

enum { HEX = 64, BEGIN = sizeof(begin_mark) - 1, END = sizeof(end_mark) - 1 };

struct entry {
    struct lp_packed packed;
    const char *data; /* lines of base64 */
    size_t data_size;
};

struct lp_pack {
    char *name;
    char *text; /* the trailer; its lines become strings */
    size_t script_size;
    uint32_t count;
    struct entry *entries;
};

/* ---- finding it ----------------------------------------------------------------------------------------------- */

/* The last line that begins with the mark, or NULL. */
static const char *last_line(const char *text, size_t size, const char *mark, size_t length)
{
    for (const char *at = text + size; at > text;) {
        const char *line = memrchr(text, '\n', (size_t)(at - text));

        at = line ? line : text;
        line = line ? line + 1 : text;
        if ((size_t)(text + size - line) >= length && memcmp(line, mark, length) == 0)
            return line;
    }
    return NULL;
}

/* Whether the text breaks off inside of the first line of a trailer. */
static bool is_cut_in_mark(const char *text, size_t size)
{
    const char *newline = memrchr(text, '\n', size);
    const char *line = newline ? newline + 1 : text;
    size_t length = (size_t)(text + size - line);

    return length > 3 && length < BEGIN && memcmp(line, begin_mark, length) == 0;
}

const char *lp_pack_note(void)
{
    return note;
}

/* Whether the note stands below the first line of a trailer, or as much of it as there is. */
static bool has_note(const char *begin, const char *text_end)
{
    const char *newline = memchr(begin, '\n', (size_t)(text_end - begin));
    const char *line = newline ? newline + 1 : text_end;
    size_t left = (size_t)(text_end - line);

    return memcmp(line, note, left < sizeof(note) - 1 ? left : sizeof(note) - 1) == 0;
}

/* Whether nothing but a hash is behind the mark of the last line. */
static bool is_last(const char *end, const char *text_end)
{
    const char *newline = memchr(end, '\n', (size_t)(text_end - end));

    return !newline || newline + 1 == text_end;
}

static int refused(int code, const char *script, const char *what)
{
    lp_error_set(code, "read", "%s: the objects packed in it %s", script, what);
    lp_error_hint("get the file again, or pack it again from its source: luaprobe pack");
    return -code;
}

int64_t lp_pack_find(const char *script, const char *text, size_t size)
{
    const char *begin = last_line(text, size, begin_mark, BEGIN);
    const char *end = last_line(text, size, end_mark, END);

    /*
     * The marks can stand in a script's strings, too. Those of a trailer have more to them, of which damage may spare
     * only one thing: the note below the first, the end of the file behind the last.
     */
    if (end && !is_last(end, text + size) && !(begin && has_note(begin, text + size)))
        end = NULL;
    if (begin && !has_note(begin, text + size) && !(end && end > begin))
        begin = NULL;
    if (begin && (!end || end < begin))
        return refused(EBADMSG, script, "are cut off");
    if (end && !begin)
        return refused(EBADMSG, script, "are damaged: where they begin cannot be found");
    if (!begin && is_cut_in_mark(text, size))
        return refused(EBADMSG, script, "are cut off");
    return begin ? begin - text : (int64_t)size;
}

/* ---- its lines ------------------------------------------------------------------------------------------------ */

struct cursor {
    const char *script;
    char *next;
    char *end; /* of the trailer, before its last line */
};

static int damaged(const struct cursor *cursor, const char *what)
{
    char text[256];

    snprintf(text, sizeof(text), "are damaged: %s", what);
    return refused(EBADMSG, cursor->script, text);
}

static void wrong_line(const struct cursor *cursor, const char *key)
{
    char text[64];

    snprintf(text, sizeof(text), "the line '%s' of what is said of an object", key);
    (void)damaged(cursor, text);
}

/* The next line as a string, or NULL at the end. */
static char *take_line(struct cursor *cursor)
{
    char *line = cursor->next;
    char *newline = line < cursor->end ? memchr(line, '\n', (size_t)(cursor->end - line)) : NULL;

    if (!newline || memchr(line, '\0', (size_t)(newline - line)))
        return NULL;
    *newline = '\0';
    cursor->next = newline + 1;
    return line;
}

/* What stands behind the key in the next line; NULL when it is another line, or its value is empty or not text. */
static char *take(struct cursor *cursor, const char *key)
{
    char *line = take_line(cursor);
    size_t length = strlen(key);

    if (!line || strncmp(line, key, length) != 0 || line[length] != ' ' || line[length + 1] == '\0') {
        wrong_line(cursor, key);
        return NULL;
    }
    for (const char *c = line; *c; c++) {
        if ((unsigned char)*c < ' ' || (unsigned char)*c > '~') {
            wrong_line(cursor, key);
            return NULL;
        }
    }
    return line + length + 1;
}

static bool is_hex(const char *text)
{
    return strspn(text, "0123456789abcdef") == HEX && text[HEX] == '\0';
}

static bool take_hex(struct cursor *cursor, const char *key, bool optional, const char **out)
{
    *out = take(cursor, key);
    if (*out && !is_hex(*out) && !(optional && strcmp(*out, "-") == 0)) {
        wrong_line(cursor, key);
        return false;
    }
    return *out != NULL;
}

/* A name of an object or an architecture: it becomes part of messages and file names. */
static bool take_name(struct cursor *cursor, const char *key, const char **out)
{
    *out = take(cursor, key);
    if (!*out)
        return false;
    for (const char *c = *out; *c; c++) {
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", *c) || c - *out > 200) {
            wrong_line(cursor, key);
            return false;
        }
    }
    return true;
}

static bool take_number(struct cursor *cursor, const char *key, uint32_t most, uint32_t *out)
{
    const char *text = take(cursor, key);
    size_t digits = text ? strspn(text, "0123456789") : 0;

    if (digits == 0 || digits > 9 || text[digits] != '\0' || (digits > 1 && text[0] == '0')) {
        if (text)
            wrong_line(cursor, key);
        return false;
    }
    *out = (uint32_t)strtoul(text, NULL, 10);
    if (*out > most) {
        wrong_line(cursor, key);
        lp_error_hint("a packed object may have %u bytes", (unsigned)LP_PACK_OBJECT_SIZE);
        return false;
    }
    return true;
}

static bool take_text(struct cursor *cursor, const char *key, const char **out)
{
    *out = take(cursor, key);
    return *out != NULL;
}

/* The lines of base64 stay as they are. */
static bool take_data(struct cursor *cursor, struct entry *entry)
{
    uint32_t lines;

    if (!take_number(cursor, "data", LP_PACK_OBJECT_SIZE / (LP_PACK_LINE / 4 * 3) + 1, &lines))
        return false;
    entry->data = cursor->next;
    while (lines-- > 0) {
        char *newline = memchr(cursor->next, '\n', (size_t)(cursor->end - cursor->next));

        if (!newline) {
            wrong_line(cursor, "data");
            return false;
        }
        cursor->next = newline + 1;
    }
    entry->data_size = (size_t)(cursor->next - entry->data);
    entry->packed.text_size = (uint32_t)entry->data_size;
    return true;
}

static bool take_entry(struct cursor *cursor, struct entry *entry)
{
    struct lp_packed *packed = &entry->packed;

    return take_name(cursor, "object", &packed->name) && take_name(cursor, "arch", &packed->arch) &&
           take_hex(cursor, "source", true, &packed->source) && take_text(cursor, "flags", &packed->flags) &&
           take_hex(cursor, "sha256", false, &packed->sha256) &&
           take_number(cursor, "size", LP_PACK_OBJECT_SIZE, &packed->size) &&
           take_text(cursor, "clang", &packed->clang) && take_text(cursor, "sections", &packed->sections) &&
           take_text(cursor, "features", &packed->features) && take_data(cursor, entry);
}

/* ---- the whole ------------------------------------------------------------------------------------------------ */

static int check_format(const char *script, const char *text)
{
    unsigned long format = strtoul(text + BEGIN, NULL, 10);

    if (format == LP_PACK_FORMAT && text[BEGIN + 1] == '\n')
        return 0;
    if (format == LP_PACK_FORMAT && text[BEGIN + 1] == '\r') {
        lp_error_set(EBADMSG, "read",
                     "%s: its lines end as on Windows (CR LF): what is packed in it no longer fits its hash", script);
        lp_error_hint("turn the line ends back: sed -i 's/\\r$//' FILE");
        return -EBADMSG;
    }
    if (format <= LP_PACK_FORMAT)
        return refused(EBADMSG, script, "are damaged: their format has no number");
    lp_error_set(ENOTSUP, "read", "%s: the objects packed in it are of format %lu; this luaprobe knows format %d",
                 script, format, LP_PACK_FORMAT);
    lp_error_hint("take a newer luaprobe, or pack it again with this one: luaprobe pack");
    return -ENOTSUP;
}

/* `text` begins with the mark and ends in a NUL; finds the last line and compares the hash in it. */
static int check_hash(struct cursor *cursor, size_t size)
{
    char found[HEX + 1];
    const char *end = last_line(cursor->next, size, end_mark, END);
    const char *hash = end ? end + END : NULL;

    if (!hash || strspn(hash, "0123456789abcdef") < HEX)
        return refused(EBADMSG, cursor->script, "are cut off");
    if (strspn(hash + HEX, "\r\n\t ") != strlen(hash + HEX) || strlen(hash) != (size_t)(cursor->next + size - hash))
        return damaged(cursor, "there is something behind them");
    lp_sha256(cursor->next, (size_t)(end - cursor->next), found);
    if (memcmp(found, hash, HEX) != 0) {
        refused(EBADMSG, cursor->script, "are damaged: they do not have the SHA-256 that they had when packed");
        if (memchr(cursor->next, '\r', size))
            lp_error_hint(
                "its lines end in CR LF, as some programs make them: convert it back (dos2unix), or get it again");
        return -EBADMSG;
    }
    cursor->end = cursor->next + (end - cursor->next);
    return 0;
}

static int take_entries(struct cursor *cursor, struct lp_pack *pack)
{
    while (cursor->next < cursor->end) {
        if (pack->count == LP_PACK_OBJECTS)
            return damaged(cursor, "too many objects");
        if (!take_entry(cursor, &pack->entries[pack->count]))
            return -EBADMSG;
        pack->count++;
    }
    return 0;
}

static int parse(struct lp_pack *pack, size_t begin, size_t size)
{
    struct cursor cursor = {.script = pack->name, .next = pack->text};
    const char *ending;
    int error = check_format(pack->name, pack->text);

    if (!error)
        error = check_hash(&cursor, size);
    if (error)
        return error;
    take_line(&cursor);
    take_line(&cursor); /* the note */
    ending = take(&cursor, "script");
    if (!ending)
        return -EBADMSG;
    if (strcmp(ending, "newline-added") != 0 && strcmp(ending, "as-is") != 0)
        return damaged(&cursor, "script");
    pack->script_size = begin - (*ending == 'n' && begin > 0);
    return take_entries(&cursor, pack);
}

struct lp_pack *lp_pack_open(const char *script, const char *text, size_t size)
{
    int64_t begin = lp_pack_find(script, text, size);
    struct lp_pack *pack;

    if (begin < 0)
        return NULL;
    if (begin == (int64_t)size) {
        lp_error_set(ENOENT, "read", "%s: has no packed objects", script);
        return NULL;
    }
    pack = calloc(1, sizeof(*pack));
    if (pack) {
        pack->name = strdup(script);
        pack->text = malloc(size - (size_t)begin + 1);
        pack->entries = calloc(LP_PACK_OBJECTS, sizeof(*pack->entries));
    }
    if (!pack || !pack->name || !pack->text || !pack->entries) {
        lp_error_set(ENOMEM, "read", "%s: no memory", script);
        lp_pack_close(pack);
        return NULL;
    }
    memcpy(pack->text, text + begin, size - (size_t)begin);
    pack->text[size - (size_t)begin] = '\0';
    if (parse(pack, (size_t)begin, size - (size_t)begin) == 0)
        return pack;
    lp_pack_close(pack);
    return NULL;
}

void lp_pack_close(struct lp_pack *pack)
{
    if (!pack)
        return;
    free(pack->entries);
    free(pack->text);
    free(pack->name);
    free(pack);
}

size_t lp_pack_script_size(const struct lp_pack *pack)
{
    return pack->script_size;
}

bool lp_pack_object(const struct lp_pack *pack, uint32_t i, struct lp_packed *out)
{
    if (i >= pack->count)
        return false;
    *out = pack->entries[i].packed;
    return true;
}

int lp_pack_extract(const struct lp_pack *pack, uint32_t i, struct lp_bytes *out)
{
    const struct entry *entry = &pack->entries[i];
    char hash[HEX + 1];
    char subject[512];
    int error;

    snprintf(subject, sizeof(subject), "%s: %s for %s", pack->name, entry->packed.name, entry->packed.arch);
    error = lp_pack_decode(subject, entry->data, entry->data_size, entry->packed.size, out);
    if (error)
        return error;
    lp_sha256(out->data, out->size, hash);
    if (strcmp(hash, entry->packed.sha256) == 0)
        return 0;
    lp_bytes_free(out);
    lp_error_set(EBADMSG, "read", "%s: the packed object does not have the SHA-256 that its manifest says", subject);
    lp_error_hint("get the file again, or pack it again from its source: luaprobe pack");
    return -EBADMSG;
}
