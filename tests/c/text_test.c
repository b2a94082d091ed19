/* text_test.c: what reaches a terminal. */
#include "test.h"

#include <string.h>

#include "luaprobe.h"

static void check(const char *text, size_t length, const char *expected)
{
    char out[256] = "";

    assert_int_equal(lp_text_escaped_length(text, length), strlen(expected));
    lp_text_escape(text, length, out);
    assert_string_equal(out, expected);
}

static void names_cannot_break_lines_or_drive_terminals(void **state)
{
    (void)state;
    check("/etc/hostname", 13, "/etc/hostname");
    check("", 0, "");
    check("a\nb\tc\rd\\e", 9, "a\\nb\\tc\\rd\\\\e");
    check("\x1b[31m\x07\x7f", 7, "\\x1b[31m\\x07\\x7f");
    check("a\0b", 3, "a\\x00b");
    check("gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f");
}

static void every_byte_comes_back(void **state)
{
    char all[256];
    char out[1024];
    size_t length;

    (void)state;
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    length = lp_text_escaped_length(all, sizeof(all));
    lp_text_escape(all, sizeof(all), out);
    for (size_t i = 0; i < length; i++)
        assert_true((unsigned char)out[i] >= 0x20 && out[i] != 0x7f);
    /* 29 control characters and DEL as \xNN, three and the backslash as two bytes, the rest as they are */
    assert_int_equal(length, 30 * 4 + 4 * 2 + (256 - 34));
}

static void a_field_need_not_end_in_a_nul(void **state)
{
    (void)state;
    assert_int_equal(lp_text_length("abcdef", 4), 4);
    assert_int_equal(lp_text_length("ab\0def", 6), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_cannot_break_lines_or_drive_terminals),
        cmocka_unit_test(every_byte_comes_back),
        cmocka_unit_test(a_field_need_not_end_in_a_nul),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
