/* btf_test.c: BTF that compilers of today make, read type by type; made here by libbpf, so that every kind is there. */
#include "test.h"

#include <bpf/btf.h>
#include <string.h>

#include "btf.h"

static struct btf *made;
static struct lp_btf *read_back(void)
{
    uint32_t size;
    const void *data = btf__raw_data(made, &size);

    return lp_btf_copy(data, size, NULL);
}

static int set_up(void **state)
{
    (void)state;
    made = btf__new_empty();
    return made ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    btf__free(made);
    return 0;
}

static void enumerations_of_64_bits_keep_their_values(void **state)
{
    int id = btf__add_enum64(made, "big", 8, false);
    struct lp_enumerator enumerator;
    struct lp_type type;
    struct lp_btf *btf;

    (void)state;
    btf__add_enum64_value(made, "SMALL", 1);
    btf__add_enum64_value(made, "LARGE", 0xfffffffffffffffe);
    btf = read_back();
    assert_int_equal(lp_btf_find(btf, BTF_KIND_ENUM, "big"), id);
    assert_true(lp_btf_type(btf, (uint32_t)id, &type));
    assert_int_equal(type.size, 8);
    assert_int_equal(type.count, 2);
    assert_int_equal(type.encoding, 0);
    assert_true(lp_btf_enumerator(btf, (uint32_t)id, 1, &enumerator));
    assert_string_equal(enumerator.name, "LARGE");
    assert_true((uint64_t)enumerator.value == 0xfffffffffffffffe);
    assert_false(lp_btf_enumerator(btf, (uint32_t)id, 2, &enumerator));
    lp_btf_free(btf);
}

static void declare(const struct lp_btf *btf, int id, const char *name, const char *expected)
{
    char text[256];

    lp_btf_declaration(btf, (uint32_t)id, name, text, sizeof(text));
    assert_string_equal(text, expected);
    for (size_t size = 1; size < sizeof(text); size++) { /* what does not fit is cut, and nothing is written behind */
        memset(text, 'x', sizeof(text));
        lp_btf_declaration(btf, (uint32_t)id, name, text, size);
        assert_true(memchr(text, '\0', size) != NULL);
        assert_int_equal(text[size], 'x');
    }
}

static void types_are_declared_as_c_has_them(void **state)
{
    int number = btf__add_int(made, "int", 4, BTF_INT_SIGNED);
    int letter = btf__add_int(made, "char", 1, BTF_INT_CHAR);
    int constant = btf__add_const(made, letter);
    int string = btf__add_ptr(made, constant);
    int array = btf__add_array(made, number, number, 16);
    int grid = btf__add_array(made, number, array, 2);
    int to_array = btf__add_ptr(made, array);
    int fixed = btf__add_const(made, string);
    int file = btf__add_fwd(made, "file", BTF_FWD_STRUCT);
    int to_file = btf__add_ptr(made, file);
    int prototype = btf__add_func_proto(made, number);
    int callback;
    int function;
    struct lp_btf *btf;

    (void)state;
    btf__add_func_param(made, "file", to_file);
    btf__add_func_param(made, "name", string);
    callback = btf__add_ptr(made, prototype);
    function = btf__add_func(made, "open", BTF_FUNC_GLOBAL, prototype);
    btf = read_back();
    declare(btf, number, "a", "int a");
    declare(btf, number, "", "int");
    declare(btf, string, "name", "const char *name");
    declare(btf, fixed, "name", "const char *const name");
    declare(btf, array, "list", "int list[16]");
    declare(btf, grid, "grid", "int grid[2][16]");
    declare(btf, to_array, "list", "int (*list)[16]");
    declare(btf, to_file, "", "struct file *");
    declare(btf, prototype, "", "int (struct file *file, const char *name)");
    declare(btf, callback, "open", "int (*open)(struct file *file, const char *name)");
    declare(btf, 0, "", "void");
    declare(btf, 9999, "x", "void x");
    assert_int_equal(lp_btf_find(btf, BTF_KIND_FUNC, "open"), function);
    assert_int_equal(lp_btf_find(btf, BTF_KIND_FUNC, "close"), 0);
    lp_btf_free(btf);
}

static void types_that_go_in_circles_end(void **state)
{
    struct lp_type type;
    struct lp_btf *btf;
    char text[64];

    (void)state;
    btf__add_typedef(made, "loop", 2);
    btf__add_const(made, 1);
    btf = read_back();
    assert_false(lp_btf_type(btf, 1, &type));
    lp_btf_declaration(btf, 2, "x", text, sizeof(text));
    lp_btf_free(btf);
}

static void modules_go_on_from_the_kernel(void **state)
{
    struct lp_btf *base;
    struct lp_btf *split;
    struct btf *module;
    struct lp_type type;

    (void)state;
    btf__add_int(made, "int", 4, BTF_INT_SIGNED);
    base = read_back();
    module = btf__new_empty_split(made);
    btf__add_struct(module, "device", 4);
    btf__add_field(module, "number", 1, 0, 0);
    split = lp_btf_from_libbpf(module, base);
    assert_non_null(split);
    assert_int_equal(lp_btf_find(split, BTF_KIND_STRUCT, "device"), 2);
    assert_true(lp_btf_type(split, 1, &type));
    assert_string_equal(type.name, "int");
    lp_btf_free(split);
    lp_btf_free(base);
}

static void what_is_cut_off_is_refused(void **state)
{
    uint32_t size;
    const void *data;

    (void)state;
    btf__add_struct(made, "device", 8);
    btf__add_field(made, "number", 0, 0, 0);
    data = btf__raw_data(made, &size);
    for (uint32_t part = 0; part < size; part++)
        assert_null(lp_btf_copy(data, part, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(enumerations_of_64_bits_keep_their_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(types_are_declared_as_c_has_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(types_that_go_in_circles_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(modules_go_on_from_the_kernel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_cut_off_is_refused, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
