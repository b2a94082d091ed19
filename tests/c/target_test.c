/* target_test.c: what is a target, and what is not. */
#include "test.h"

#include <string.h>

#include "luaprobe.h"

#ifdef __aarch64__
#define SYSCALL_PREFIX "__arm64_sys_"
#else
#define SYSCALL_PREFIX "__x64_sys_"
#endif

static void targets_and_section_names_mean_the_same(void **state)
{
    static const struct {
        const char *text;
        int kind;
        const char *category;
        const char *path;
        const char *name;
        uint64_t offset;
        uint64_t period;
        const char *written;
    } rows[] = {
        {"kprobe:vfs_read", LP_KPROBE, "", "", "vfs_read", 0, 0, "kprobe:vfs_read"},
        {"kprobe/vfs_read", LP_KPROBE, "", "", "vfs_read", 0, 0, "kprobe:vfs_read"},
        {"kprobe:vfs_read+8", LP_KPROBE, "", "", "vfs_read", 8, 0, "kprobe:vfs_read+8"},
        {"kprobe:vfs_read+0x10", LP_KPROBE, "", "", "vfs_read", 16, 0, "kprobe:vfs_read+0x10"},
        {"kprobe:ext4:ext4_readdir", LP_KPROBE, "ext4", "", "ext4_readdir", 0, 0, "kprobe:ext4:ext4_readdir"},
        {"kprobe:0xffffffff81234567", LP_KPROBE, "", "", "", 0xffffffff81234567, 0, "kprobe:0xffffffff81234567"},
        {"kprobe.multi/vfs_*", LP_KPROBE, "", "", "vfs_*", 0, 0, "kprobe:vfs_*"},
        {"kretprobe/f.isra.0", LP_KRETPROBE, "", "", "f.isra.0", 0, 0, "kretprobe:f.isra.0"},
        {"ksyscall/openat", LP_KSYSCALL, "", "", SYSCALL_PREFIX "openat", 0, 0, "ksyscall:openat"},
        {"uprobe:libc:malloc", LP_UPROBE, "", "libc", "malloc", 0, 0, "uprobe:libc:malloc"},
        {"uprobe//usr/bin/bash:readline+4", LP_UPROBE, "", "/usr/bin/bash", "readline", 4, 0,
         "uprobe:/usr/bin/bash:readline+4"},
        {"uprobe.s/a b:c:0x1234", LP_UPROBE, "", "a b:c", "", 0x1234, 0, "uprobe:a b:c:0x1234"},
        {"uretprobe:app:main.(*T).Run", LP_URETPROBE, "", "app", "main.(*T).Run", 0, 0, "uretprobe:app:main.(*T).Run"},
        {"uprobe:libc:memcpy@GLIBC_2.2.5", LP_UPROBE, "", "libc", "memcpy@GLIBC_2.2.5", 0, 0,
         "uprobe:libc:memcpy@GLIBC_2.2.5"},
        {"uprobe:a b:c:ns::Foo::bar(int)", LP_UPROBE, "", "a b:c", "ns::Foo::bar(int)", 0, 0,
         "uprobe:a b:c:ns::Foo::bar(int)"},
        {"uprobe:app:ns::operator+(ns::T)", LP_UPROBE, "", "app", "ns::operator+(ns::T)", 0, 0,
         "uprobe:app:ns::operator+(ns::T)"},
        {"uprobe:app:::f+8", LP_UPROBE, "", "app", "::f", 8, 0, "uprobe:app:::f+8"},
        {"usdt:/bin/x:libc:setjmp", LP_USDT, "libc", "/bin/x", "setjmp", 0, 0, "usdt:/bin/x:libc:setjmp"},
        {"tp/sched/sched_switch", LP_TRACEPOINT, "sched", "", "sched_switch", 0, 0, "tracepoint:sched:sched_switch"},
        {"tracepoint:syscalls:sys_enter_*", LP_TRACEPOINT, "syscalls", "", "sys_enter_*", 0, 0,
         "tracepoint:syscalls:sys_enter_*"},
        {"raw_tp/sys_enter", LP_RAW_TRACEPOINT, "", "", "sys_enter", 0, 0, "raw_tracepoint:sys_enter"},
        {"tp_btf/sys_enter", LP_BTF_TRACEPOINT, "", "", "sys_enter", 0, 0, "tp_btf:sys_enter"},
        {"fentry.s/vfs_read", LP_FENTRY, "", "", "vfs_read", 0, 0, "fentry:vfs_read"},
        {"fexit:vfs_read", LP_FEXIT, "", "", "vfs_read", 0, 0, "fexit:vfs_read"},
        {"profile:hz:99", LP_PROFILE, "", "", "hz", 0, 99, "profile:hz:99"},
        {"software:page-faults:1", LP_SOFTWARE, "", "", "page-faults", 0, 1, "software:page-faults:1"},
        {"hardware:cpu-cycles", LP_HARDWARE, "", "", "cpu-cycles", 0, 0, "hardware:cpu-cycles"},
    };
    struct lp_target target;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(lp_target_parse(rows[i].text, &target), 0);
        assert_int_equal(target.kind, rows[i].kind);
        assert_string_equal(target.category, rows[i].category);
        assert_string_equal(target.path, rows[i].path);
        assert_string_equal(target.name, rows[i].name);
        assert_int_equal(target.offset, rows[i].offset);
        assert_int_equal(target.period, rows[i].period);
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
        "kprobe:vfs_read+",
        "kprobe:vfs_read+0x",
        "kprobe:vfs_read+-1",
        "kprobe:vfs_read+99999999999999999999999",
        "kprobe:vfs_*+8",
        "kprobe:0x",
        "kprobe:0x0",
        "kprobe:a:b:c",
        "kprobe::f",
        "kprobe:ksyscall:getpgid",
        "kretprobe:kprobe:vfs_read",
        "kretprobe:vfs_read+8",
        "ksyscall:open at",
        "uprobe:libc",
        "uprobe:libc:",
        "uprobe::malloc",
        "uprobe:libc::malloc",
        "uprobe:ns::f",
        "uprobe:a\x1b[31m:b",
        "uretprobe:libc:malloc+8",
        "usdt:libc:setjmp",
        "profile:99",
        "profile:hz:0",
        "profile:hz:-1",
        "profile:day:1",
        "software:",
        "software:faults:0",
        "kprobe.nonsense/f",
        "maps",
    };
    struct lp_target target;
    char longest[4000];

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
