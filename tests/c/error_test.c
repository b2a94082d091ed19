/* error_test.c: what becomes of libbpf's text. */
#include "test.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "error.h"

/* Says something through libbpf's own print function, as libbpf would. */
__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    libbpf_print_fn_t print = libbpf_set_print(NULL);
    va_list args;

    va_start(args, format);
    print(LIBBPF_WARN, format, args);
    va_end(args);
    libbpf_set_print(print);
}

static void the_verifiers_last_lines_come_first(void **state)
{
    (void)state;
    lp_error_capture();
    say("libbpf: prog 'probe_it': BPF program load failed: Permission denied\n");
    say("libbpf: prog 'probe_it': -- BEGIN PROG LOAD LOG --\n%s-- END PROG LOAD LOG --\n",
        "func#0 @0\n0: R1=ctx() R10=fp0\n1: (79) r1 = *(u64 *)(r1 +16)\n; return *x;\n2: (61) r0 = *(u32 *)(r1 +0)\n"
        "R1 invalid mem access 'scalar'\n"
        "processed 3 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n");
    say("libbpf: failed to load program 'probe_it'\n");
    assert_int_equal(lp_error_from_libbpf(EACCES, "load", "x.bpf.o"), -EACCES);
    assert_string_equal(lp_error_last()->message,
                        "x.bpf.o: the kernel refused program 'probe_it': 2: (61) r0 = *(u32 *)(r1 +0); "
                        "R1 invalid mem access 'scalar' (4 lines omitted)");
    assert_string_equal(lp_error_last()->name, "EACCES");
    assert_string_equal(lp_error_last()->stage, "load");
    assert_non_null(strstr(lp_error_last()->hint, "--traceback"));
    assert_non_null(strstr(lp_error_last()->log, "func#0 @0"));
}

static void a_log_of_one_line_or_none_is_told_too(void **state)
{
    (void)state;
    lp_error_capture();
    say("libbpf: prog 'a': -- BEGIN PROG LOAD LOG --\n%s-- END PROG LOAD LOG --\n", "only this\n");
    lp_error_from_libbpf(EINVAL, "load", "x");
    assert_string_equal(lp_error_last()->message, "x: the kernel refused program 'a': only this");
    lp_error_capture();
    say("libbpf: prog 'a': -- BEGIN PROG LOAD LOG --\n%s-- END PROG LOAD LOG --\n", "");
    lp_error_from_libbpf(EINVAL, "load", "x");
    assert_string_equal(lp_error_last()->message, "x: the kernel refused program 'a': the verifier gave no reason");
}

static void without_a_log_libbpfs_last_complaint_is_the_cause(void **state)
{
    (void)state;
    lp_error_capture();
    say("libbpf: elf: something minor\n");
    say("libbpf: map 'm': failed to create: Invalid argument(-22)\n");
    lp_error_from_libbpf(EINVAL, "load", "x");
    assert_string_equal(lp_error_last()->message, "x: map 'm': failed to create: Invalid argument(-22)");
    lp_error_capture();
    lp_error_from_libbpf(ENOMEM, "open", "x");
    assert_string_equal(lp_error_last()->message, "x: Cannot allocate memory");
    assert_null(lp_error_last()->log);
}

static void a_new_error_drops_the_old_hint_and_log(void **state)
{
    (void)state;
    lp_error_set(ENOENT, "attach", "one");
    lp_error_hint("do this");
    assert_string_equal(lp_error_last()->hint, "do this");
    lp_error_set(EINVAL, "open", "two %d", 2);
    assert_null(lp_error_last()->hint);
    assert_string_equal(lp_error_last()->message, "two 2");
    assert_int_equal(lp_error_last()->code, EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_verifiers_last_lines_come_first),
        cmocka_unit_test(a_log_of_one_line_or_none_is_told_too),
        cmocka_unit_test(without_a_log_libbpfs_last_complaint_is_the_cause),
        cmocka_unit_test(a_new_error_drops_the_old_hint_and_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
