/*
 * inspect.c: what an object's instructions ask of the kernel: helpers, CO-RE fields, symbols, kinds of instructions.
 *
 * It reads the file only; nothing reaches the kernel. The file has been opened before (lp_object_open), so its type
 * information holds together.
 */
#include "inspect.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

struct lp_inspect *lp_inspect_open(const char *name, const void *data, size_t size)
{
    struct lp_inspect *inspect = calloc(1, sizeof(*inspect));

    (void)elf_version(EV_CURRENT);
    if (inspect)
        inspect->elf = elf_memory((char *)data, size); /* which does not change it */
    if (!inspect || !inspect->elf || elf_getshdrstrndx(inspect->elf, &inspect->names) != 0) {
        lp_error_set(EINVAL, "open", "%s: its sections cannot be read", name);
        lp_inspect_close(inspect);
        return NULL;
    }
    return inspect;
}

void lp_inspect_close(struct lp_inspect *inspect)
{
    if (!inspect)
        return;
    (void)elf_end(inspect->elf);
    free(inspect);
}

const char *lp_inspect_section_name(const struct lp_inspect *inspect, Elf_Scn *section, GElf_Shdr *header)
{
    return gelf_getshdr(section, header) ? elf_strptr(inspect->elf, inspect->names, header->sh_name) : NULL;
}

/* ---- instructions --------------------------------------------------------------------------------------------- */

static void note_call(const struct bpf_insn *insn, struct lp_code *out)
{
    if (insn->src_reg == BPF_PSEUDO_CALL)
        out->features |= LP_CODE_CALL;
    else if (insn->src_reg == 0 && insn->imm > 0 && insn->imm < LP_HELPERS)
        out->helpers[insn->imm / 64] |= UINT64_C(1) << (insn->imm % 64);
}

/* -mcpu=v4: Linux 6.6 */
static bool is_v4(const struct bpf_insn *insn)
{
    unsigned class = BPF_CLASS(insn->code), op = BPF_OP(insn->code);

    if (class == BPF_ALU64 && op == BPF_END)
        return true;
    if ((class == BPF_ALU64 || class == BPF_ALU) && insn->off != 0 && (op == BPF_MOV || op == BPF_DIV || op == BPF_MOD))
        return true;
    return (class == BPF_LDX && BPF_MODE(insn->code) == 0x80) || insn->code == (BPF_JMP32 | BPF_JA);
}

static void note_instruction(const struct bpf_insn *insn, struct lp_code *out)
{
    unsigned class = BPF_CLASS(insn->code), op = BPF_OP(insn->code);

    if (is_v4(insn))
        out->features |= LP_CODE_V4;
    if (insn->code == (BPF_JMP | BPF_CALL)) {
        note_call(insn, out);
    } else if (class == BPF_JMP || class == BPF_JMP32) {
        if (class == BPF_JMP32)
            out->features |= LP_CODE_JMP32;
        if (op != BPF_EXIT && op != BPF_CALL && insn->off < 0)
            out->features |= LP_CODE_LOOP;
    } else if (class == BPF_STX && BPF_MODE(insn->code) == BPF_ATOMIC && insn->imm != BPF_ADD) {
        out->features |= LP_CODE_ATOMIC;
    }
}

static void scan(const Elf_Data *data, struct lp_code *out)
{
    size_t count = data && data->d_buf ? data->d_size / sizeof(struct bpf_insn) : 0;
    struct bpf_insn insn;

    out->instructions = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        memcpy(&insn, (const char *)data->d_buf + i * sizeof(insn), sizeof(insn));
        note_instruction(&insn, out);
        if (insn.code == (BPF_LD | BPF_IMM | BPF_DW))
            i++; /* its second half */
    }
}

bool lp_inspect_code(const struct lp_inspect *inspect, uint32_t i, struct lp_code *out)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;

    while ((section = elf_nextscn(inspect->elf, section))) {
        const char *name = lp_inspect_section_name(inspect, section, &header);

        if (!name || header.sh_type != SHT_PROGBITS || !(header.sh_flags & SHF_EXECINSTR) || header.sh_size == 0)
            continue;
        if (i-- > 0)
            continue;
        *out = (struct lp_code){.section = name};
        scan(elf_getdata(section, NULL), out);
        return true;
    }
    return false;
}

static const char *const helper_names[] = {
#define NAME(name, ...) #name
    __BPF_FUNC_MAPPER(NAME)
#undef NAME
};

const char *lp_helper_name(uint32_t id)
{
    return id < sizeof(helper_names) / sizeof(helper_names[0]) ? helper_names[id] : NULL;
}

/* ---- symbols of the kernel ------------------------------------------------------------------------------------ */

const char *lp_inspect_extern(const struct lp_inspect *inspect, uint32_t i, bool *weak)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;

    while ((section = elf_nextscn(inspect->elf, section))) {
        const Elf_Data *data;

        if (!gelf_getshdr(section, &header) || header.sh_type != SHT_SYMTAB)
            continue;
        data = elf_getdata(section, NULL);
        for (int at = 1; data && (size_t)at < data->d_size / sizeof(Elf64_Sym); at++) {
            GElf_Sym symbol;
            const char *name;

            if (!gelf_getsym((Elf_Data *)data, at, &symbol) || symbol.st_shndx != SHN_UNDEF)
                continue;
            name = elf_strptr(inspect->elf, header.sh_link, symbol.st_name);
            if (!name || !*name || i-- > 0)
                continue;
            *weak = GELF_ST_BIND(symbol.st_info) == STB_WEAK;
            return name;
        }
    }
    return NULL;
}
