/*
 * inside.c: places inside of functions. The kernel puts a uprobe's breakpoint wherever it is told to, so that one in
 * the middle of an instruction makes another instruction of it, and the program that is traced dies.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "binary.h"
#include "error.h"
#include "instruction.h"

/* What is decoded at most: reading more than any compiler's function has would only keep the user waiting. */
enum { MOST = 16 << 20 };

/* The symbol of a known size that an address lies in: of those that do, the one that begins last. */
static const struct lp_symbol *enclosing(const struct lp_binary *binary, uint64_t address)
{
    const struct lp_symbol *found = NULL;

    for (size_t i = 0; i < binary->symbol_count; i++) {
        const struct lp_symbol *symbol = &binary->symbols[i];

        if (symbol->value <= address && address - symbol->value < symbol->size &&
            (!found || symbol->value > found->value) && lp_binary_is_function(binary, symbol))
            found = symbol;
    }
    return found;
}

/* The last label from a function's start to an address: each begins an instruction, also behind data in the code. */
static uint64_t last_label(const struct lp_binary *binary, uint64_t start, uint64_t address)
{
    uint64_t last = start;

    for (size_t i = 0; i < binary->symbol_count; i++) {
        const struct lp_symbol *symbol = &binary->symbols[i];

        if (symbol->value > last && symbol->value <= address && lp_binary_is_function(binary, symbol))
            last = symbol->value;
    }
    return last;
}

/* Whether an instruction begins at an offset in the file; where one does `back` bytes before it. */
static bool begins(const struct lp_binary *binary, uint64_t back, uint64_t offset, struct lp_instruction_starts *starts)
{
    uint8_t *code;
    ssize_t size;
    bool result = true;

    if (back == 0 || back > MOST || back > offset)
        return true;
    code = malloc(back + LP_INSTRUCTION_MOST);
    if (!code)
        return true;
    size = pread(binary->fd, code, back + LP_INSTRUCTION_MOST, (off_t)(offset - back));
    if (size > 0)
        result = lp_instruction_begins(code, (size_t)size, back, starts);
    free(code);
    return result;
}

int lp_binary_check_inside(struct lp_binary *binary, const char *symbol, uint64_t within, uint64_t offset)
{
    struct lp_instruction_starts starts = {0};
    uint64_t address;
    uint64_t label; /* where decoding begins, from the function's start */
    int error = lp_binary_load(binary);

    if (error)
        return error;
    if (!lp_binary_address(binary, offset, &address))
        return 0;
    if (symbol[0] == '\0') {
        const struct lp_symbol *function = enclosing(binary, address);

        if (!function)
            return 0;
        symbol = function->name;
        within = address - function->value;
    }
    label = last_label(binary, address - within, address) - (address - within);
    if (begins(binary, within - label, offset, &starts))
        return 0;
    lp_error_set(EINVAL, "attach", "%s: %s+%llu (0x%llx) is not the start of an instruction", binary->path, symbol,
                 (unsigned long long)within, (unsigned long long)offset);
    starts.before += label;
    starts.after += label;
    lp_error_hint("instructions begin at +%llu and +%llu; objdump -d shows them all", (unsigned long long)starts.before,
                  (unsigned long long)starts.after);
    return -EINVAL;
}
