/* target_fuzz.c: libFuzzer on the target parser: any text is a target or is refused with a reason, and both for good.
 */
#include <stdlib.h>
#include <string.h>

#include "luaprobe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every string of a target ends inside of its field. */
static void check_strings(const struct lp_target *target)
{
    if (!memchr(target->word, '\0', sizeof(target->word)) ||
        !memchr(target->category, '\0', sizeof(target->category)) ||
        !memchr(target->path, '\0', sizeof(target->path)) || !memchr(target->name, '\0', sizeof(target->name)) ||
        !memchr(target->text, '\0', sizeof(target->text)))
        abort();
}

/* What it is written as means the same. */
static void check_again(const struct lp_target *target)
{
    static struct lp_target again;

    if (lp_target_parse(target->text, &again) != 0 || again.kind != target->kind || again.offset != target->offset ||
        again.period != target->period || again.returns != target->returns || strcmp(again.name, target->name) != 0 ||
        strcmp(again.path, target->path) != 0 || strcmp(again.category, target->category) != 0 ||
        strcmp(again.text, target->text) != 0)
        abort();
}

static void check_refusal(void)
{
    const struct lp_error *error = lp_error_last();

    for (const char *c = error->message; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 127)
            abort(); /* a terminal would act upon it */
    }
    if (error->code == 0 || !error->hint)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct lp_target target;
    char *text = malloc(size + 1);

    memcpy(text, data, size);
    text[size] = '\0';
    if (lp_target_parse(text, &target) == 0) {
        check_strings(&target);
        check_again(&target);
    } else {
        check_refusal();
    }
    free(text);
    return 0;
}
