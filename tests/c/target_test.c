/* target_test.c: what is a target, and what is not. */
#include "test.h"

#include <string.h>

#include "luaprobe.h"

static void targets_and_section_names_mean_the_same(void **state)
{
    static const struct {
        const char *text;
        int kind;
        const char *category;
        const char *name;
        const char *written;
    } rows[] = {
        {"kprobe:do_sys_openat2", LP_KPROBE, "", "do_sys_openat2", "kprobe:do_sys_openat2"},
        {"kprobe/do_sys_openat2", LP_KPROBE, "", "do_sys_openat2", "kprobe:do_sys_openat2"},
        {"kretprobe/f.isra.0", LP_KRETPROBE, "", "f.isra.0", "kretprobe:f.isra.0"},
        {"tp/sched/sched_switch", LP_TRACEPOINT, "sched", "sched_switch", "tracepoint:sched:sched_switch"},
        {"tracepoint:syscalls:sys_enter_openat", LP_TRACEPOINT, "syscalls", "sys_enter_openat",
         "tracepoint:syscalls:sys_enter_openat"},
    };
    struct lp_target target;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(lp_target_parse(rows[i].text, &target), 0);
        assert_int_equal(target.kind, rows[i].kind);
        assert_string_equal(target.category, rows[i].category);
        assert_string_equal(target.name, rows[i].name);
        assert_string_equal(target.text, rows[i].written);
    }
}

static void malformed_targets_are_refused_with_a_hint(void **state)
{
    static const char *const texts[] = {
        "",
        ":",
        "/",
        "kprobe",
        "kprobe:",
        "kprobe/",
        "kprob:f",
        "kprobes:f",
        "kprobe:a b",
        "kprobe:../x",
        "kprobe:a/b",
        "tracepoint",
        "tracepoint:",
        "tracepoint:sched",
        "tracepoint:sched:",
        "tracepoint::x",
        "tracepoint:a:b:c",
        "tracepoint:..:x",
        "tracepoint:sched/../x",
        "tp",
        "xdp",
        "maps",
    };
    struct lp_target target;
    char longest[400];

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (lp_target_parse(texts[i], &target) != -22)
            fail_msg("'%s' was taken for a target", texts[i]);
        assert_string_equal(lp_error_last()->stage, "attach");
        assert_non_null(lp_error_last()->hint);
    }
    memset(longest, 'a', sizeof(longest));
    memcpy(longest, "kprobe:", 7);
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(lp_target_parse(longest, &target), -22);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_and_section_names_mean_the_same),
        cmocka_unit_test(malformed_targets_are_refused_with_a_hint),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
