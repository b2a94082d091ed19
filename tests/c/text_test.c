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
    check("\xe6\x97\xa5\xf0\x9f\x90\x9d", 7, "\xe6\x97\xa5\xf0\x9f\x90\x9d");
    /* C1 controls, alone and as UTF-8; text the other way round; what is no UTF-8. */
    check("\xc2\x9b"
          "31m",
          5, "\\xc2\\x9b31m");
    check("\x9b"
          "31m",
          4, "\\x9b31m");
    check("\xc2\xa0", 2, "\xc2\xa0");
    check("\xe2\x80\xae"
          "abc\xe2\x81\xa7",
          9, "\\xe2\\x80\\xaeabc\\xe2\\x81\\xa7");
    check("\xe2\x80\xa6", 3, "\xe2\x80\xa6");
    check("\xff\xc3", 2, "\\xff\\xc3");
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
    /* 29 control characters, DEL and 128 bytes that are no UTF-8 as \xNN, three and the backslash as two bytes */
    assert_int_equal(length, 158 * 4 + 4 * 2 + (128 - 34));
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
