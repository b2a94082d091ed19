/* binary.h: what binary.c, symtab.c, inside.c and usdt.c share. */
#ifndef LUAPROBE_BINARY_H
#define LUAPROBE_BINARY_H

#include <gelf.h>

#include "luaprobe.h"

/* A symbol of any of the tables; name and version point into them. */
struct lp_symbol {
    const char *name;
    const char *version; /* "GLIBC_2.14", or NULL */
    bool is_default;     /* what "name" means when no version is asked for */
    bool defined;
    uint64_t value;
    uint64_t size;
    int type; /* STT_* */
};

struct lp_binary {
    char *path;
    int fd;
    Elf *elf;
    int debug_fd; /* its separate debug file, or -1 */
    Elf *debug;
    struct lp_symbol *symbols; /* by name, once they are asked for */
    size_t symbol_count;
    size_t symbol_room;
    bool has_symtab;
};

/* The place in the file of an address in the program. False when it is in no segment, or in none that is executed. */
bool lp_binary_file_offset(const struct lp_binary *binary, uint64_t address, bool executable, uint64_t *offset);
/* The other way about: the address of what is executed at a place in the file. */
bool lp_binary_address(const struct lp_binary *binary, uint64_t offset, uint64_t *address);
/* Reads the symbols, once. */
int lp_binary_load(struct lp_binary *binary);
/* Whether a symbol is of a function, or of a place in one, that the file holds. */
bool lp_binary_is_function(const struct lp_binary *binary, const struct lp_symbol *symbol);
/* The section of a name, with its header; NULL when there is none. */
Elf_Scn *lp_binary_section(Elf *elf, const char *name, GElf_Shdr *header);

#endif
