/* binary_test.c: from a symbol to the offset in the file, compared with what the dynamic loader maps. */
#include "test.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "luaprobe.h"

static struct lp_binary *library;
static void *loaded;

static int open_library(void **state)
{
    (void)state;
    library = lp_binary_open(SYMBOLS_LIBRARY);
    loaded = dlopen(SYMBOLS_LIBRARY, RTLD_NOW);
    return library && loaded ? 0 : -1;
}

static int close_library(void **state)
{
    (void)state;
    lp_binary_close(library);
    return dlclose(loaded);
}

/* The bytes at an offset in the file are those of the function in memory. */
static void assert_is_at(const char *path, uint64_t offset, const void *function)
{
    unsigned char bytes[8];
    FILE *file = fopen(path, "rb");

    assert_non_null(file);
    assert_int_equal(fseek(file, (long)offset, SEEK_SET), 0);
    assert_int_equal(fread(bytes, 1, sizeof(bytes), file), sizeof(bytes));
    fclose(file);
    assert_memory_equal(bytes, function, sizeof(bytes));
}

static void functions_are_where_the_loader_maps_them(void **state)
{
    static const char *const names[] = {"plain", "call_twin", "call_other_twin"};
    uint64_t offset;

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(lp_binary_resolve(library, names[i], 0, &offset), 0);
        assert_is_at(SYMBOLS_LIBRARY, offset, dlsym(loaded, names[i]));
        assert_int_equal(lp_binary_check(library, offset), 0);
    }
}

static void a_version_can_be_chosen_and_one_is_the_default(void **state)
{
    uint64_t old;
    uint64_t new;
    uint64_t plain;

    (void)state;
    assert_int_equal(lp_binary_resolve(library, "versioned@LP_1.0", 0, &old), 0);
    assert_int_equal(lp_binary_resolve(library, "versioned@@LP_2.0", 0, &new), 0);
    assert_int_equal(lp_binary_resolve(library, "versioned", 0, &plain), 0);
    assert_int_equal(plain, new);
    assert_int_not_equal(old, new);
    assert_is_at(SYMBOLS_LIBRARY, old, dlvsym(loaded, "versioned", "LP_1.0"));
    assert_is_at(SYMBOLS_LIBRARY, new, dlvsym(loaded, "versioned", "LP_2.0"));
    assert_int_equal(lp_binary_resolve(library, "versioned@LP_3.0", 0, &old), -ENOENT);
}

static void what_is_no_function_is_refused_with_the_reason(void **state)
{
    static const struct {
        const char *symbol;
        int error;
        const char *message;
        const char *hint;
    } rows[] = {
        {"twin", -ENOTUNIQ, "2 functions of the name twin", "by its offset"},
        {"variable", -EINVAL, "is a variable", "name a function"},
        {"chosen", -EINVAL, "indirect function", "processor"},
        {"plian", -ENOENT, "has no function plian", "did you mean plain"},
        {"zzzzzzzzzzzz", -ENOENT, "has no function", "inlined"},
        {"__cxa_finalize", -EINVAL, "only calls", "ldd"},
        {"", -ENOENT, "has no function", ""},
    };
    uint64_t offset;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(lp_binary_resolve(library, rows[i].symbol, 0, &offset), rows[i].error);
        if (!strstr(lp_error_last()->message, rows[i].message) || !lp_error_last()->hint ||
            !strstr(lp_error_last()->hint, rows[i].hint))
            fail_msg("%s: %s (%s)", rows[i].symbol, lp_error_last()->message, lp_error_last()->hint);
    }
}

static void programs_of_both_sorts_are_read(void **state)
{
    static const char *const paths[] = {PIE_PROGRAM, FIXED_PROGRAM};
    uint64_t offsets[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct lp_binary *binary = lp_binary_open(paths[i]);

        assert_non_null(binary);
        assert_int_equal(lp_binary_resolve(binary, "callee", 0, &offsets[i]), 0);
        assert_int_equal(lp_binary_check(binary, offsets[i]), 0);
        assert_true(offsets[i] < 0x100000); /* an offset in the file, not the address 0x401000 */
        assert_false(lp_binary_is_go(binary));
        lp_binary_close(binary);
    }
}

static void an_offset_behind_a_function_stays_in_it(void **state)
{
    static const uint64_t outside[] = {100, UINT64_MAX, UINT64_MAX - 4096, UINT64_C(1) << 63};
    struct lp_binary *binary = lp_binary_open(PIE_PROGRAM);
    uint64_t start;
    uint64_t offset;

    (void)state;
    assert_non_null(binary);
    assert_int_equal(lp_binary_resolve(binary, "callee", 0, &start), 0);
    assert_int_equal(lp_binary_resolve(binary, "callee", 4, &offset), 0);
    assert_int_equal(offset, start + 4);
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
        assert_int_equal(lp_binary_resolve(binary, "callee", outside[i], &offset), -EINVAL);
        assert_non_null(strstr(lp_error_last()->message, "leads out of callee"));
    }
    lp_binary_close(binary);
}

static void a_stripped_program_is_told_as_such_and_its_debug_file_is_not_needed_for_exports(void **state)
{
    struct lp_binary *binary = lp_binary_open(STRIPPED_PROGRAM);
    uint64_t offset;

    (void)state;
    assert_non_null(binary);
    assert_int_equal(lp_binary_resolve(binary, "callee", 0, &offset), -ENOENT);
    assert_non_null(strstr(lp_error_last()->message, "stripped"));
    assert_non_null(strstr(lp_error_last()->hint, "debug symbols"));
    lp_binary_close(binary);
}

static void offsets_must_lie_in_code(void **state)
{
    (void)state;
    assert_int_equal(lp_binary_check(library, 0), -EINVAL);
    assert_non_null(strstr(lp_error_last()->message, "not in a part of the file that is executed"));
    assert_int_equal(lp_binary_check(library, UINT64_MAX), -EINVAL);
    assert_non_null(strstr(lp_error_last()->message, "in no part of the file that is mapped"));
}

/* Whether a probe may be at a place in a function of the library, named by the function as by its offset in the file.
 */
static bool begins(const char *function, uint64_t within)
{
    uint64_t offset;
    int named;

    assert_int_equal(lp_binary_resolve(library, function, within, &offset), 0);
    named = lp_binary_check_inside(library, function, within, offset);
    if (strcmp(function, "unsized") != 0)
        assert_int_equal(lp_binary_check_inside(library, "", offset, offset), named);
    return named == 0;
}

static void places_are_told_from_those_inside_instructions(void **state)
{
#ifdef __x86_64__
    /* '|' where an instruction begins, or where what is before it cannot be decoded. */
    static const struct {
        const char *function;
        const char *places;
    } rows[] = {
        {"instructions", "|.|....|...|.....|............|||||"},
        {"labelled", "|.||.|"},
        {"unsized", "|.|"},
    };
#else
    static const struct {
        const char *function;
        const char *places;
    } rows[] = {{"plain", "|...|...|...|..."}};
#endif

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (uint64_t within = 0; rows[i].places[within] != '\0'; within++) {
            if (begins(rows[i].function, within) != (rows[i].places[within] == '|'))
                fail_msg("%s+%d", rows[i].function, (int)within);
        }
    }
}

static void a_place_inside_an_instruction_is_refused_with_those_beside_it(void **state)
{
#ifdef __x86_64__
    static const char *const expected[] = {"instructions+3 (0x", "begin at +2 and +7"};
    const char *function = "instructions";
#else
    static const char *const expected[] = {"plain+3 (0x", "begin at +0 and +4"};
    const char *function = "plain";
#endif
    uint64_t offset;

    (void)state;
    assert_int_equal(lp_binary_resolve(library, function, 3, &offset), 0);
    for (int raw = 0; raw < 2; raw++) {
        assert_int_equal(lp_binary_check_inside(library, raw ? "" : function, raw ? offset : 3, offset), -EINVAL);
        assert_string_equal(lp_error_last()->stage, "attach");
        assert_non_null(strstr(lp_error_last()->message, expected[0]));
        assert_non_null(strstr(lp_error_last()->message, "is not the start of an instruction"));
        assert_non_null(strstr(lp_error_last()->hint, expected[1]));
    }
}

static void where_no_symbol_tells_a_function_any_place_is_good(void **state)
{
    struct lp_binary *binary = lp_binary_open(STRIPPED_PROGRAM);
    struct lp_usdt probe; /* at the start of callee, whose symbol is not there */
    uint64_t position = 0;

    (void)state;
    assert_non_null(binary);
    assert_true(lp_binary_usdt(binary, &position, &probe));
    for (uint64_t within = 0; within < 9; within++)
        assert_int_equal(lp_binary_check_inside(binary, "", 0, probe.offset + within), 0);
    assert_int_equal(lp_binary_check_inside(binary, "", 0, UINT64_MAX), 0);
    lp_binary_close(binary);
}

static void functions_are_listed_once_each_by_name(void **state)
{
    struct lp_binary_function function;
    char last[128] = "";
    uint64_t position = 0;
    int twins = 0;
    int plains = 0;

    (void)state;
    while (lp_binary_function(library, &position, &function)) {
        assert_true(strcmp(last, function.name) <= 0);
        snprintf(last, sizeof(last), "%s", function.name);
        twins += strcmp(function.name, "twin") == 0;
        plains += strcmp(function.name, "plain") == 0;
        assert_int_equal(lp_binary_check(library, function.offset), 0);
    }
    assert_int_equal(twins, 2);
    assert_int_equal(plains, 1);
}

static void usdt_probes_are_read_from_the_notes(void **state)
{
    struct lp_binary *binary = lp_binary_open(PIE_PROGRAM);
    struct lp_usdt probe;
    uint64_t position = 0;

    (void)state;
    assert_non_null(binary);
    assert_true(lp_binary_usdt(binary, &position, &probe));
    assert_string_equal(probe.provider, "luaprobe_test");
    assert_string_equal(probe.name, "called");
    assert_int_equal(lp_binary_check(binary, probe.offset), 0);
    assert_false(lp_binary_usdt(binary, &position, &probe));
    lp_binary_close(binary);
}

static void what_is_no_binary_is_refused(void **state)
{
    static const struct {
        const char *path;
        const char *message;
    } rows[] = {
        {"/nonexistent", "No such file"},  {"/", "not a file"},
        {"/dev/null", "not a file"},       {"/etc/passwd", "not an ELF file"},
        {BPF_OBJECT, "another processor"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_null(lp_binary_open(rows[i].path));
        if (!strstr(lp_error_last()->message, rows[i].message))
            fail_msg("%s: %s", rows[i].path, lp_error_last()->message);
    }
}

/* The table of sections is at the end of the file. */
static void a_truncated_program_is_damaged_not_stripped(void **state)
{
    char path[] = "/tmp/luaprobe-truncated-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fopen(PIE_PROGRAM, "rb");
    static char bytes[1 << 20];
    size_t size;

    (void)state;
    assert_true(fd >= 0 && file);
    size = fread(bytes, 1, sizeof(bytes), file) - 1;
    fclose(file);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    close(fd);
    assert_null(lp_binary_open(path));
    unlink(path);
    assert_non_null(strstr(lp_error_last()->message, "is damaged: it ends before"));
}

/* Everything that reads the file. */
static void read_all_of(const char *path)
{
    struct lp_binary *binary = lp_binary_open(path);
    struct lp_binary_function function;
    struct lp_usdt probe;
    uint64_t position = 0;
    uint64_t offset;

    if (!binary)
        return;
    (void)lp_binary_resolve(binary, "versioned", 0, &offset);
    (void)lp_binary_resolve(binary, "nothing", 0, &offset);
    (void)lp_binary_is_go(binary);
    for (offset = 0x1000; offset < 0x1200; offset += 7)
        (void)lp_binary_check_inside(binary, "", offset, offset);
    while (lp_binary_function(binary, &position, &function))
        continue;
    position = 0;
    while (lp_binary_usdt(binary, &position, &probe))
        continue;
    lp_binary_close(binary);
}

static void damaged_files_never_crash(void **state)
{
    static unsigned char bytes[65536];
    static unsigned char damaged[65536];
    char path[] = "/tmp/luaprobe-binary-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fopen(SYMBOLS_LIBRARY, "rb");
    size_t size;

    (void)state;
    assert_non_null(file);
    assert_true(fd >= 0);
    size = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    srand(1);
    for (int round = 0; round < 2500; round++) {
        size_t length = round < 500 ? size * (size_t)round / 500 : size;

        memcpy(damaged, bytes, size);
        for (int i = 0; round >= 500 && i < 4; i++)
            damaged[(size_t)rand() % (i < 2 ? 512 : size)] = (unsigned char)rand();
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, damaged, length, 0), (ssize_t)length);
        read_all_of(path);
    }
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_are_where_the_loader_maps_them),
        cmocka_unit_test(a_version_can_be_chosen_and_one_is_the_default),
        cmocka_unit_test(what_is_no_function_is_refused_with_the_reason),
        cmocka_unit_test(programs_of_both_sorts_are_read),
        cmocka_unit_test(an_offset_behind_a_function_stays_in_it),
        cmocka_unit_test(a_stripped_program_is_told_as_such_and_its_debug_file_is_not_needed_for_exports),
        cmocka_unit_test(offsets_must_lie_in_code),
        cmocka_unit_test(places_are_told_from_those_inside_instructions),
        cmocka_unit_test(a_place_inside_an_instruction_is_refused_with_those_beside_it),
        cmocka_unit_test(where_no_symbol_tells_a_function_any_place_is_good),
        cmocka_unit_test(functions_are_listed_once_each_by_name),
        cmocka_unit_test(usdt_probes_are_read_from_the_notes),
        cmocka_unit_test(what_is_no_binary_is_refused),
        cmocka_unit_test(a_truncated_program_is_damaged_not_stripped),
        cmocka_unit_test(damaged_files_never_crash),
    };

    return cmocka_run_group_tests(tests, open_library, close_library);
}
