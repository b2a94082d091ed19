/* pack_test.c: what one-file scripts are made of: SHA-256, base64, the trailer's data, JSON strings. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "luaprobe.h"
#include "pack.h"

/* The examples of FIPS 180-4. */
static void sha256_is_that_of_the_standard(void **state)
{
    char hash[65];
    char *million = malloc(1000000);

    (void)state;
    lp_sha256("", 0, hash);
    assert_string_equal(hash, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    lp_sha256("abc", 3, hash);
    assert_string_equal(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    lp_sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hash);
    assert_string_equal(hash, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    assert_non_null(million);
    memset(million, 'a', 1000000);
    lp_sha256(million, 1000000, hash);
    assert_string_equal(hash, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(million);
}

/* The examples of RFC 4648. */
static void base64_is_that_of_the_standard(void **state)
{
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};

    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        char text[16] = "";
        char back[16] = "";

        lp_base64_encode(pairs[i][0], strlen(pairs[i][0]), text);
        assert_string_equal(text, pairs[i][1]);
        assert_int_equal(lp_base64_decode(text, strlen(text), back), strlen(pairs[i][0]));
        assert_string_equal(back, pairs[i][0]);
    }
}

static void base64_has_one_text_for_each_value(void **state)
{
    static const char *const wrong[] = {
        "Z", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm 9", "Zm9-", "Z\n9v"};
    char out[16];

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(lp_base64_decode(wrong[i], strlen(wrong[i]), out), -1);
}

static void an_object_comes_back_with_its_size_only(void **state)
{
    static char data[5000];
    struct lp_bytes text;
    struct lp_bytes back;

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * i >> 3);
    assert_int_equal(lp_pack_encode(data, sizeof(data), &text), 0);
    assert_int_equal(lp_pack_decode("it", text.data, text.size, sizeof(data), &back), 0);
    assert_memory_equal(back.data, data, sizeof(data));
    lp_bytes_free(&back);
    assert_true(lp_pack_decode("it", text.data, text.size, sizeof(data) - 1, &back) < 0);
    assert_true(lp_pack_decode("it", text.data, text.size, sizeof(data) + 1, &back) < 0);
    assert_true(lp_pack_decode("it", text.data, text.size - 5, sizeof(data), &back) < 0);
    assert_true(lp_pack_decode("it", text.data, 0, sizeof(data), &back) < 0);
    lp_bytes_free(&text);
}

static void check_json(const char *text, size_t length, const char *expected)
{
    char out[128] = "";

    assert_int_equal(lp_json_escape(text, length, out), strlen(expected));
    assert_string_equal(out, expected);
}

static void json_strings_are_valid_and_reversible(void **state)
{
    (void)state;
    check_json("plain", 5, "plain");
    check_json("a\"b\\c\n\x1b\x7f", 8, "a\\\"b\\\\c\\n\\u001b\\u007f");
    check_json("gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f");
    check_json("\xff\x80", 2, "\\uefff\\uef80");
    check_json("\xc3", 1, "\\uefc3");                       /* cut off */
    check_json("\xc0\x80", 2, "\\uefc0\\uef80");            /* overlong */
    check_json("\xed\xa0\x80", 3, "\\uefed\\uefa0\\uef80"); /* a surrogate */
    check_json("\xee\xbe\x80", 3, "\\uefee\\uefbe\\uef80"); /* what stands for the byte 0x80 */
    check_json("\xee\x80\x80", 3, "\xee\x80\x80");          /* its neighbours */
    check_json("\xc2\x9b", 2, "\\u009b");                   /* a control character of terminals */
    check_json("\xf4\x8f\xbf\xbf", 4, "\xf4\x8f\xbf\xbf");
    check_json("\xf4\x90\x80\x80", 4, "\\ueff4\\uef90\\uef80\\uef80");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_is_that_of_the_standard),
        cmocka_unit_test(base64_is_that_of_the_standard),
        cmocka_unit_test(base64_has_one_text_for_each_value),
        cmocka_unit_test(an_object_comes_back_with_its_size_only),
        cmocka_unit_test(json_strings_are_valid_and_reversible),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
