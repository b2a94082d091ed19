/* library_test.c: programs and libraries by their short names. */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "luaprobe.h"

static char path[4096];

static bool is_same_file(const char *one, const char *other)
{
    struct stat a;
    struct stat b;

    return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static void libraries_are_found_as_the_loader_finds_them(void **state)
{
    char mapped[4096];

    (void)state;
    assert_int_equal(lp_library_find("libc", 0, path, sizeof(path)), 0);
    assert_non_null(strstr(path, "libc.so.6"));
    assert_int_equal(lp_library_find("libc.so.6", 0, mapped, sizeof(mapped)), 0);
    assert_string_equal(path, mapped);
    assert_int_equal(lp_library_find("libc", getpid(), mapped, sizeof(mapped)), 0);
    assert_non_null(strstr(mapped, "/root/"));
    assert_true(is_same_file(path, mapped));
}

static void programs_are_found_where_programs_are(void **state)
{
    (void)state;
    assert_int_equal(lp_library_find("env", 0, path, sizeof(path)), 0);
    assert_int_equal(path[0], '/');
    assert_int_equal(lp_library_find("library_test", getpid(), path, sizeof(path)), 0);
    assert_true(is_same_file(path, "/proc/self/exe"));
}

static void paths_stay_and_are_those_of_the_process(void **state)
{
    char expected[64];

    (void)state;
    assert_int_equal(lp_library_find("./some/thing", 0, path, sizeof(path)), 0);
    assert_string_equal(path, "./some/thing");
    assert_int_equal(lp_library_find("/some/thing", getpid(), path, sizeof(path)), 0);
    snprintf(expected, sizeof(expected), "/proc/%d/root/some/thing", getpid());
    assert_string_equal(path, expected);
}

/* Runs a copy of cat until the returned descriptor is closed. */
static int start_copy(const char *copy, pid_t *pid)
{
    int pipes[2];
    char command[200];

    snprintf(command, sizeof(command), "cp /bin/cat %s", copy);
    assert_int_equal(system(command), 0);
    assert_int_equal(pipe(pipes), 0);
    *pid = fork();
    if (*pid == 0) {
        dup2(pipes[0], 0);
        close(pipes[1]);
        execl(copy, copy, (char *)NULL);
        _exit(127);
    }
    close(pipes[0]);
    snprintf(command, sizeof(command), "for i in $(seq 100); do grep -q %s /proc/%d/maps && break; sleep 0.05; done",
             copy, (int)*pid);
    assert_int_equal(system(command), 0);
    return pipes[1];
}

static void a_replaced_file_is_the_one_that_the_process_runs(void **state)
{
    char directory[] = "/tmp/luaprobe-library-XXXXXX";
    char copy[64];
    char executed[64];
    char command[200];
    pid_t pid;
    int input;

    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(copy, sizeof(copy), "%s/runs", directory);
    input = start_copy(copy, &pid);
    snprintf(executed, sizeof(executed), "/proc/%d/exe", (int)pid);
    assert_int_equal(lp_library_find(copy, pid, path, sizeof(path)), 0);
    assert_true(is_same_file(path, executed));

    snprintf(command, sizeof(command), "cp /bin/sh %s/new && mv %s/new %s", directory, directory, copy);
    assert_int_equal(system(command), 0);
    for (int by_name = 0; by_name < 2; by_name++) {
        int error = lp_library_find(by_name ? "runs" : copy, pid, path, sizeof(path));

        if (geteuid() == 0) {
            assert_int_equal(error, 0);
            assert_true(is_same_file(path, executed));
        } else {
            assert_int_equal(error, -ESTALE); /* whoever may not see /proc/PID/map_files is told */
        }
    }
    close(input);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(unlink(copy), 0);
    assert_int_equal(rmdir(directory), 0);
}

static void the_current_directory_is_not_looked_at(void **state)
{
    char directory[] = "/tmp/luaprobe-library-XXXXXX";
    char *before = getcwd(NULL, 0);
    FILE *file;

    (void)state;
    assert_non_null(mkdtemp(directory));
    assert_int_equal(chdir(directory), 0);
    file = fopen("libtrap.so", "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(lp_library_find("libtrap", 0, path, sizeof(path)), -ENOENT);
    assert_int_equal(unlink("libtrap.so"), 0);
    assert_int_equal(chdir(before), 0);
    assert_int_equal(rmdir(directory), 0);
    free(before);
}

static void what_is_not_there_is_said(void **state)
{
    (void)state;
    assert_int_equal(lp_library_find("libnosuch", 0, path, sizeof(path)), -ENOENT);
    assert_non_null(strstr(lp_error_last()->hint, "ldconfig -p"));
    assert_int_equal(lp_library_find("libnosuch", getpid(), path, sizeof(path)), -ENOENT);
    assert_non_null(strstr(lp_error_last()->hint, "maps"));
    assert_int_equal(lp_library_find("libc", 4194303, path, sizeof(path)), -ESRCH);
    assert_int_equal(lp_library_find("/bin/sh", 4194303, path, sizeof(path)), -ESRCH);
    assert_int_equal(lp_library_find("libc", 0, path, 4), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(libraries_are_found_as_the_loader_finds_them),
        cmocka_unit_test(programs_are_found_where_programs_are),
        cmocka_unit_test(paths_stay_and_are_those_of_the_process),
        cmocka_unit_test(a_replaced_file_is_the_one_that_the_process_runs),
        cmocka_unit_test(the_current_directory_is_not_looked_at),
        cmocka_unit_test(what_is_not_there_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
