/*
 * elf_check.c: whether an object's sections, symbols and relocations hold together, before libelf and libbpf see them.
 *
 * Both check most of what they read, and not all: a function whose offset and size overflow when added, say, makes
 * libbpf copy what lies before its section. A damaged file shall be refused instead.
 */
#include "elf_check.h"

#include <elf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>

#include "error.h"

/* A file's table of sections, and the two that the others refer to. */
struct elf {
    struct lp_span file;
    Elf64_Ehdr header;
    struct lp_span names;   /* of the sections */
    struct lp_span symbols; /* Elf64_Sym each */
};

bool lp_span_holds(struct lp_span whole, uint64_t offset, uint64_t size)
{
    return offset <= whole.size && size <= whole.size - offset;
}

/* The file may lie at any address, so structures are copied out of it. */
static Elf64_Shdr section_at(const struct elf *elf, size_t i)
{
    Elf64_Shdr section;

    memcpy(&section, elf->file.data + elf->header.e_shoff + i * sizeof(section), sizeof(section));
    return section;
}

static struct lp_span contents(const struct elf *elf, const Elf64_Shdr *section)
{
    if (section->sh_type == SHT_NOBITS || section->sh_type == SHT_NULL)
        return (struct lp_span){elf->file.data, 0};
    return (struct lp_span){elf->file.data + section->sh_offset, section->sh_size};
}

static struct lp_span contents_at(const struct elf *elf, size_t i)
{
    Elf64_Shdr section = section_at(elf, i);

    return contents(elf, &section);
}

/* Whether a string begins at `offset`, and ends. */
static bool holds_string(struct lp_span strings, uint64_t offset)
{
    return offset < strings.size && strings.data[strings.size - 1] == '\0';
}

/* Section numbers beyond 0xff00, which are kept elsewhere, are not expected of a BPF object. */
static bool check_header(struct elf *elf)
{
    const Elf64_Ehdr *header = &elf->header;

    return header->e_ident[EI_DATA] == ELFDATA2LSB && header->e_ident[EI_VERSION] == EV_CURRENT &&
           header->e_shentsize == sizeof(Elf64_Shdr) && header->e_shnum > 0 && header->e_shstrndx > 0 &&
           header->e_shstrndx < header->e_shnum &&
           lp_span_holds(elf->file, header->e_shoff, (uint64_t)header->e_shnum * sizeof(Elf64_Shdr));
}

/*
 * What takes no place in the file takes it in memory: no map of the kernel is larger than 2 GB. What has records of a
 * size has whole ones.
 */
static bool check_section(const struct elf *elf, const Elf64_Shdr *section)
{
    switch (section->sh_type) {
    case SHT_NULL:
        return true;
    case SHT_NOBITS:
        return section->sh_size <= INT32_MAX;
    case SHT_SYMTAB:
        if (section->sh_entsize != sizeof(Elf64_Sym) || section->sh_size % sizeof(Elf64_Sym) != 0)
            return false;
        break;
    case SHT_REL:
        if (section->sh_entsize != sizeof(Elf64_Rel) || section->sh_size % sizeof(Elf64_Rel) != 0)
            return false;
        break;
    default:
        break;
    }
    return lp_span_holds(elf->file, section->sh_offset, section->sh_size) && section->sh_link < elf->header.e_shnum;
}

static const char *name_of(const struct elf *elf, const Elf64_Shdr *section)
{
    return elf->names.data + section->sh_name;
}

static bool check_names(struct elf *elf)
{
    int btf = 0;
    int btf_ext = 0;

    elf->names = contents_at(elf, elf->header.e_shstrndx);
    for (size_t i = 1; i < elf->header.e_shnum; i++) {
        Elf64_Shdr section = section_at(elf, i);

        if (!holds_string(elf->names, section.sh_name))
            return false;
        btf += strcmp(name_of(elf, &section), ".BTF") == 0;
        btf_ext += strcmp(name_of(elf, &section), ".BTF.ext") == 0;
    }
    /* Of two, btf_check.c could look at one and libbpf take the other. */
    return btf <= 1 && btf_ext <= 1;
}

/* A function is whole instructions of its section, and does not end within one of 16 bytes. */
static bool check_function(struct lp_span code, const Elf64_Sym *symbol)
{
    const char *last;

    if (!lp_span_holds(code, symbol->st_value, symbol->st_size))
        return false;
    last = code.data + symbol->st_value + symbol->st_size - sizeof(struct bpf_insn);
    return symbol->st_size < sizeof(struct bpf_insn) || *last != (BPF_LD | BPF_IMM | BPF_DW);
}

static bool check_symbol(const struct elf *elf, struct lp_span names, const Elf64_Sym *symbol)
{
    Elf64_Shdr section;

    if (!holds_string(names, symbol->st_name))
        return false;
    if (symbol->st_shndx == SHN_UNDEF || symbol->st_shndx >= SHN_LORESERVE)
        return true;
    if (symbol->st_shndx >= elf->header.e_shnum)
        return false;
    section = section_at(elf, symbol->st_shndx);
    if (ELF64_ST_TYPE(symbol->st_info) == STT_FUNC)
        return check_function(contents(elf, &section), symbol);
    return symbol->st_value <= section.sh_size && symbol->st_size <= section.sh_size - symbol->st_value;
}

static bool check_symbols(struct elf *elf, const Elf64_Shdr *section)
{
    struct lp_span names = contents_at(elf, section->sh_link);

    elf->symbols = contents(elf, section);
    for (size_t i = 0; i < elf->symbols.size / sizeof(Elf64_Sym); i++) {
        Elf64_Sym symbol;

        memcpy(&symbol, elf->symbols.data + i * sizeof(symbol), sizeof(symbol));
        if (!check_symbol(elf, names, &symbol))
            return false;
    }
    return true;
}

/* Debug information can be compressed: then its relocations are of what it would be otherwise. */
static bool check_relocations(const struct elf *elf, const Elf64_Shdr *section)
{
    struct lp_span records = contents(elf, section);
    Elf64_Shdr target;
    uint64_t room;

    if (section->sh_info >= elf->header.e_shnum)
        return false;
    target = section_at(elf, section->sh_info);
    room = target.sh_flags & SHF_COMPRESSED ? UINT64_MAX : contents(elf, &target).size;
    for (size_t i = 0; i < records.size / sizeof(Elf64_Rel); i++) {
        Elf64_Rel record;

        memcpy(&record, records.data + i * sizeof(record), sizeof(record));
        if (ELF64_R_SYM(record.r_info) >= elf->symbols.size / sizeof(Elf64_Sym) || record.r_offset >= room)
            return false;
    }
    return true;
}

static bool check_sections(struct elf *elf)
{
    for (size_t i = 0; i < elf->header.e_shnum; i++) {
        Elf64_Shdr section = section_at(elf, i);

        if (!check_section(elf, &section))
            return false;
    }
    return check_names(elf);
}

/* Relocations refer to symbols, wherever the table of these is. */
static bool check_references(struct elf *elf)
{
    for (size_t i = 1; i < elf->header.e_shnum; i++) {
        Elf64_Shdr section = section_at(elf, i);

        if (section.sh_type == SHT_SYMTAB && !check_symbols(elf, &section))
            return false;
    }
    for (size_t i = 1; i < elf->header.e_shnum; i++) {
        Elf64_Shdr section = section_at(elf, i);

        if (section.sh_type == SHT_REL && !check_relocations(elf, &section))
            return false;
    }
    return true;
}

int lp_elf_check(const char *object, const void *data, size_t size)
{
    struct elf elf = {.file = {data, size}};
    const char *what = NULL;

    memcpy(&elf.header, data, sizeof(elf.header));
    if (!check_header(&elf))
        what = "its ELF header contradicts itself, or is of another byte order";
    else if (!check_sections(&elf))
        what = "its table of sections contradicts itself";
    else if (!check_references(&elf))
        what = "its symbols or relocations contradict its sections";
    if (!what)
        return 0;
    lp_error_set(EINVAL, "open", "%s: damaged: %s", object, what);
    lp_error_hint("copy or build the object again");
    return -EINVAL;
}

struct lp_span lp_elf_section(struct lp_span file, const char *name)
{
    struct elf elf = {.file = file};

    memcpy(&elf.header, file.data, sizeof(elf.header));
    elf.names = contents_at(&elf, elf.header.e_shstrndx);
    for (size_t i = 1; i < elf.header.e_shnum; i++) {
        Elf64_Shdr section = section_at(&elf, i);

        if (strcmp(name_of(&elf, &section), name) == 0)
            return contents(&elf, &section);
    }
    return (struct lp_span){NULL, 0};
}
