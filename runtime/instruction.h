/* instruction.h: where the instructions of a function begin. */
#ifndef LUAPROBE_INSTRUCTION_H
#define LUAPROBE_INSTRUCTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LP_INSTRUCTION_MOST = 16 }; /* bytes: no instruction is longer */

/* The places where instructions begin that lie next to one where none does. */
struct lp_instruction_starts {
    uint64_t before;
    uint64_t after;
};

/*
 * Whether an instruction begins `at` bytes behind the start of a function's code. True as well where that cannot be
 * told: the code ends before, or holds what is no instruction (data, or one that is newer than the decoder).
 */
bool lp_instruction_begins(const uint8_t *code, size_t size, uint64_t at, struct lp_instruction_starts *starts);

#endif
