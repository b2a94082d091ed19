/*
 * instruction.c: where the instructions of a function begin.
 *
 * On x86 they have any length of 1 to 15 bytes, so that only decoding all of them, from the function's start, tells.
 */
#include "instruction.h"

#ifdef __aarch64__

bool lp_instruction_begins(const uint8_t *code, size_t size, uint64_t at, struct lp_instruction_starts *starts)
{
    enum { LENGTH = 4 };

    (void)code;
    (void)size;
    starts->before = at - at % LENGTH;
    starts->after = starts->before + LENGTH;
    return starts->before == at;
}

#else

#include <capstone/capstone.h>

/* Decodes up to the instruction that holds `at`, or begins there. */
static bool walk(csh decoder, cs_insn *instruction, const uint8_t *code, size_t size, uint64_t at,
                 struct lp_instruction_starts *starts)
{
    uint64_t place = 0;

    while (place < at) {
        starts->before = place;
        if (!cs_disasm_iter(decoder, &code, &size, &place, instruction))
            return true;
    }
    starts->after = place;
    return place == at;
}

bool lp_instruction_begins(const uint8_t *code, size_t size, uint64_t at, struct lp_instruction_starts *starts)
{
    csh decoder;
    cs_insn *instruction;
    bool begins = true;

    if (cs_open(CS_ARCH_X86, CS_MODE_64, &decoder) != CS_ERR_OK)
        return true;
    instruction = cs_malloc(decoder);
    if (instruction) {
        begins = walk(decoder, instruction, code, size, at, starts);
        cs_free(instruction, 1);
    }
    cs_close(&decoder);
    return begins;
}

#endif
