/*
 * symtab.c: the symbols of a binary: .symtab, .dynsym with its versions, and the separate debug file that its build-id
 * names.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "binary.h"
#include "error.h"
#include "nearest.h"

/* ---- reading the tables --------------------------------------------------------------------------------------- */

static bool add(struct lp_binary *binary, const struct lp_symbol *symbol)
{
    if (!binary->symbols || binary->symbol_count == binary->symbol_room) {
        size_t room = binary->symbol_room > 0 ? binary->symbol_room * 2 : 1024;
        struct lp_symbol *larger = realloc(binary->symbols, room * sizeof(*larger));

        if (!larger)
            return false;
        binary->symbols = larger;
        binary->symbol_room = room;
    }
    binary->symbols[binary->symbol_count++] = *symbol;
    return true;
}

/* The name of the version that .gnu.version's entry stands for: one that is defined here. */
static const char *version_name(Elf *elf, GElf_Versym index)
{
    GElf_Shdr header;
    Elf_Scn *section = lp_binary_section(elf, ".gnu.version_d", &header);
    Elf_Data *data = section ? elf_getdata(section, NULL) : NULL;
    GElf_Verdef definition;
    GElf_Verdaux name;
    int offset = 0;

    while (data && gelf_getverdef(data, offset, &definition)) {
        if (definition.vd_ndx == (index & 0x7fff) && gelf_getverdaux(data, offset + (int)definition.vd_aux, &name))
            return elf_strptr(elf, header.sh_link, name.vda_name);
        if (definition.vd_next == 0)
            break;
        offset += (int)definition.vd_next;
    }
    return NULL;
}

static bool read_table(struct lp_binary *binary, Elf *elf, const char *name, bool versions)
{
    GElf_Shdr header;
    GElf_Shdr version_header;
    Elf_Scn *section = lp_binary_section(elf, name, &header);
    Elf_Scn *version_section = versions ? lp_binary_section(elf, ".gnu.version", &version_header) : NULL;
    Elf_Data *data = section ? elf_getdata(section, NULL) : NULL;
    Elf_Data *version_data = version_section ? elf_getdata(version_section, NULL) : NULL;
    GElf_Sym raw;

    for (int i = 1; data && gelf_getsym(data, i, &raw); i++) {
        GElf_Versym version;
        struct lp_symbol symbol = {
            .name = elf_strptr(elf, header.sh_link, raw.st_name),
            .is_default = true,
            .defined = raw.st_shndx != SHN_UNDEF,
            .value = raw.st_value,
            .size = raw.st_size,
            .type = GELF_ST_TYPE(raw.st_info),
        };
        if (!symbol.name || symbol.name[0] == '\0' || symbol.type == STT_FILE || symbol.type == STT_SECTION)
            continue;
        if (version_data && symbol.defined && gelf_getversym(version_data, i, &version) && (version & 0x7fff) > 1) {
            symbol.version = version_name(elf, version);
            symbol.is_default = !(version & 0x8000);
        }
        if (!add(binary, &symbol))
            return false;
    }
    return true;
}

/* /usr/lib/debug/.build-id/12/345….debug, as the binary's build-id names it. */
static bool debug_path(Elf *elf, char *out, size_t size)
{
    GElf_Shdr header;
    Elf_Scn *section = lp_binary_section(elf, ".note.gnu.build-id", &header);
    Elf_Data *data = section ? elf_getdata(section, NULL) : NULL;
    GElf_Nhdr note;
    size_t name;
    size_t description;
    const uint8_t *id;
    int length;

    if (!data || gelf_getnote(data, 0, &note, &name, &description) == 0 || note.n_descsz < 2)
        return false;
    id = (const uint8_t *)data->d_buf + description;
    length = snprintf(out, size, "/usr/lib/debug/.build-id/%02x/", id[0]);
    for (size_t i = 1; i < note.n_descsz && (size_t)length + 10 < size; i++)
        length += snprintf(out + length, size - (size_t)length, "%02x", id[i]);
    snprintf(out + length, size - (size_t)length, ".debug");
    return true;
}

/* Its symbols have the addresses of the binary, whose segments say where in the file these are. */
static void open_debug(struct lp_binary *binary)
{
    char path[256];

    if (!debug_path(binary->elf, path, sizeof(path)))
        return;
    binary->debug_fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (binary->debug_fd >= 0)
        binary->debug = elf_begin(binary->debug_fd, ELF_C_READ, NULL);
}

static int by_name(const void *a, const void *b)
{
    const struct lp_symbol *one = a;
    const struct lp_symbol *other = b;
    int order = strcmp(one->name, other->name);

    if (order != 0)
        return order;
    return one->value < other->value ? -1 : one->value > other->value;
}

int lp_binary_load(struct lp_binary *binary)
{
    GElf_Shdr header;
    bool good;

    if (binary->symbols)
        return 0;
    binary->has_symtab = lp_binary_section(binary->elf, ".symtab", &header) != NULL;
    good = read_table(binary, binary->elf, ".symtab", false) && read_table(binary, binary->elf, ".dynsym", true);
    if (good && !binary->has_symtab) {
        open_debug(binary);
        if (binary->debug) {
            good = read_table(binary, binary->debug, ".symtab", false);
            binary->has_symtab = true;
        }
    }
    if (!good)
        return lp_error_set(ENOMEM, "attach", "%s: no memory for its symbols", binary->path);
    if (binary->symbols)
        qsort(binary->symbols, binary->symbol_count, sizeof(*binary->symbols), by_name);
    return 0;
}

/* ---- from a name to a place ----------------------------------------------------------------------------------- */

/* What was asked for: "memcpy", "memcpy@GLIBC_2.2.5". */
struct wanted {
    char name[512];
    const char *version;
};

/* Linkers write versions into the names of .symtab, memcpy@@GLIBC_2.14, but not into those of .dynsym. */
static bool is_wanted(const struct wanted *wanted, const struct lp_symbol *symbol)
{
    size_t length = strcspn(symbol->name, "@");
    const char *version = symbol->version;
    bool is_default = symbol->is_default;

    if (strncmp(symbol->name, wanted->name, length) != 0 || wanted->name[length] != '\0')
        return false;
    if (symbol->name[length] == '@') {
        is_default = symbol->name[length + 1] == '@';
        version = symbol->name + length + 1 + is_default;
    }
    if (!wanted->version)
        return is_default;
    return version && strcmp(version, wanted->version) == 0;
}

bool lp_binary_is_function(const struct lp_binary *binary, const struct lp_symbol *symbol)
{
    uint64_t offset;

    /* Functions written in assembly often have no type. */
    return symbol->defined && (symbol->type == STT_FUNC || symbol->type == STT_NOTYPE) &&
           lp_binary_file_offset(binary, symbol->value, true, &offset);
}

/* What is there of the name that is not a function, for the message. */
struct others {
    bool imported, data, indirect, not_executed;
};

static void note_other(const struct lp_binary *binary, const struct lp_symbol *symbol, struct others *others)
{
    uint64_t offset;

    if (!symbol->defined)
        others->imported = true;
    else if (symbol->type == STT_GNU_IFUNC)
        others->indirect = true;
    else if (symbol->type == STT_OBJECT || symbol->type == STT_TLS || symbol->type == STT_COMMON)
        others->data = true;
    else if (!lp_binary_file_offset(binary, symbol->value, true, &offset))
        others->not_executed = true;
}

static int not_there(const struct lp_binary *binary, const char *symbol, const struct wanted *wanted)
{
    const char *found[3];
    struct lp_nearest nearest;

    lp_nearest_begin(&nearest, wanted->name, found, 3);
    for (size_t i = 0; i < binary->symbol_count; i++) {
        if (lp_binary_is_function(binary, &binary->symbols[i]))
            lp_nearest_offer(&nearest, binary->symbols[i].name);
    }
    lp_error_set(ENOENT, "attach", "%s: has no function %s%s", binary->path, symbol,
                 binary->has_symtab ? "" : " among its exported symbols, and is stripped of the others");
    if (nearest.count > 0)
        lp_error_hint("did you mean %s%s%s%s%s?", found[0], nearest.count > 1 ? " or " : "",
                      nearest.count > 1 ? found[1] : "", nearest.count > 2 ? " or " : "",
                      nearest.count > 2 ? found[2] : "");
    else if (!binary->has_symtab)
        lp_error_hint("install its debug symbols, or name the place by its offset in the file: %s:0xOFFSET",
                      binary->path);
    else
        lp_error_hint("it may be inlined into its callers; see what there is: luaprobe list 'uprobe:%s:*'",
                      binary->path);
    return -ENOENT;
}

static int explain(const struct lp_binary *binary, const char *symbol, const struct wanted *wanted,
                   const struct others *others)
{
    const char *path = binary->path;

    if (others->indirect) {
        lp_error_set(EINVAL, "attach", "%s: %s is an indirect function: the loader chooses one of several for it", path,
                     symbol);
        lp_error_hint(
            "probe the one that this processor uses; they are named like it: nm -D %s, or in its debug symbols", path);
    } else if (others->data) {
        lp_error_set(EINVAL, "attach", "%s: %s is a variable, not a function", path, symbol);
        lp_error_hint("name a function");
    } else if (others->not_executed) {
        lp_error_set(EINVAL, "attach", "%s: %s is not in a part of the file that is executed", path, symbol);
        lp_error_hint("name a function");
    } else if (others->imported) {
        lp_error_set(ENOENT, "attach", "%s: only calls %s, which is in one of its libraries", path, symbol);
        lp_error_hint("name the library instead of the program, like libc:%s; ldd %s lists them", wanted->name, path);
    } else
        return not_there(binary, symbol, wanted);
    return -EINVAL;
}

static int ambiguous(const struct lp_binary *binary, const char *symbol, const uint64_t *offsets, int count)
{
    char list[128] = "";
    size_t length = 0;

    for (int i = 0; i < count && i < 4; i++)
        length += (size_t)snprintf(list + length, sizeof(list) - length, "%s0x%llx", i > 0 ? ", " : "",
                                   (unsigned long long)offsets[i]);
    lp_error_set(ENOTUNIQ, "attach", "%s: has %d functions of the name %s, at %s%s", binary->path, count, symbol, list,
                 count > 4 ? ", …" : "");
    lp_error_hint("choose one by its offset in the file: %s:0x%llx", binary->path, (unsigned long long)offsets[0]);
    return -ENOTUNIQ;
}

/* `size` is that of the largest symbol of the name there; 0 where none tells, as in assembly. */
static int resolve(struct lp_binary *binary, const char *symbol, uint64_t *offset, uint64_t *size)
{
    enum { MOST = 16 };
    struct wanted wanted = {0};
    struct others others = {0};
    uint64_t offsets[MOST];
    int count = 0;
    size_t length = strcspn(symbol, "@");
    int error = lp_binary_load(binary);

    *size = 0;

    if (error)
        return error;
    if (length >= sizeof(wanted.name))
        return lp_error_set(EINVAL, "attach", "%s: that is no name of a function", binary->path);
    memcpy(wanted.name, symbol, length);
    if (symbol[length] == '@')
        wanted.version = symbol + length + (symbol[length + 1] == '@' ? 2 : 1);
    for (size_t i = 0; i < binary->symbol_count; i++) {
        const struct lp_symbol *found = &binary->symbols[i];
        bool known = false;

        if (!is_wanted(&wanted, found))
            continue;
        if (!lp_binary_is_function(binary, found)) {
            note_other(binary, found, &others);
            continue;
        }
        (void)lp_binary_file_offset(binary, found->value, true, offset);
        *size = found->size > *size ? found->size : *size;
        for (int j = 0; j < count && j < MOST; j++)
            known = known || offsets[j] == *offset;
        if (!known && count < MOST)
            offsets[count++] = *offset;
    }
    if (count == 0)
        return explain(binary, symbol, &wanted, &others);
    if (count > 1)
        return ambiguous(binary, symbol, offsets, count);
    *offset = offsets[0];
    return 0;
}

int lp_binary_resolve(struct lp_binary *binary, const char *symbol, uint64_t within, uint64_t *offset)
{
    uint64_t size;
    int error = resolve(binary, symbol, offset, &size);

    if (error)
        return error;
    if (__builtin_add_overflow(*offset, within, offset) || (size > 0 && within >= size)) {
        lp_error_set(EINVAL, "attach", "%s: the offset leads out of %s, which has %llu bytes", binary->path, symbol,
                     (unsigned long long)size);
        lp_error_hint("leave the offset out, or take it from the function's disassembly");
        return -EINVAL;
    }
    return 0;
}

bool lp_binary_function(struct lp_binary *binary, uint64_t *position, struct lp_binary_function *out)
{
    if (lp_binary_load(binary) != 0)
        return false;
    for (; *position < binary->symbol_count; ++*position) {
        const struct lp_symbol *symbol = &binary->symbols[*position];
        const struct lp_symbol *last = *position > 0 ? symbol - 1 : NULL;

        if (!lp_binary_is_function(binary, symbol) || symbol->type != STT_FUNC || strchr(symbol->name, '@') ||
            (last && strcmp(last->name, symbol->name) == 0 && last->value == symbol->value))
            continue;
        *out = (struct lp_binary_function){.name = symbol->name, .size = symbol->size};
        (void)lp_binary_file_offset(binary, symbol->value, true, &out->offset);
        ++*position;
        return true;
    }
    return false;
}
