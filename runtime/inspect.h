/* inspect.h: what inspect.c (instructions) and inspect_core.c (CO-RE) share. */
#ifndef LUAPROBE_INSPECT_H
#define LUAPROBE_INSPECT_H

#include <gelf.h>

#include "luaprobe.h"

struct lp_inspect {
    Elf *elf;
    size_t names;
};

/* A section's name, and its header; NULL when it has none. */
const char *lp_inspect_section_name(const struct lp_inspect *inspect, Elf_Scn *section, GElf_Shdr *header);

#endif
