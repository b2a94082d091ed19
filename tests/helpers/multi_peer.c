/*
 * multi_peer.c: libbpf's own way of attaching to many functions, to be compared with.
 *
 *   multi_peer OBJECT.bpf.o PROGRAM <NAMES    prints the milliseconds that bpf_program__attach_kprobe_multi_opts took
 * for the functions whose names are on standard input, one per line
 */
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static size_t read_names(const char **names, size_t most)
{
    char *line = NULL;
    size_t size = 0;
    size_t count = 0;

    while (count < most && getline(&line, &size, stdin) > 0) {
        line[strcspn(line, "\n")] = '\0';
        names[count++] = strdup(line);
    }
    free(line);
    return count;
}

int main(int argc, char **argv)
{
    static const char *names[10000];
    LIBBPF_OPTS(bpf_kprobe_multi_opts, opts, .syms = names);
    struct bpf_object *object = argc == 3 ? bpf_object__open_file(argv[1], NULL) : NULL;
    struct bpf_program *program;
    struct bpf_link *link;
    double start;

    if (!object)
        return 2;
    bpf_object__for_each_program(program, object)
        bpf_program__set_autoload(program, strcmp(bpf_program__name(program), argv[2]) == 0);
    program = bpf_object__find_program_by_name(object, argv[2]);
    if (!program || bpf_object__load(object) != 0)
        return 1;
    opts.cnt = read_names(names, sizeof(names) / sizeof(names[0]));
    start = now();
    link = bpf_program__attach_kprobe_multi_opts(program, NULL, &opts);
    if (!link)
        return 1;
    printf("%.3f\n", now() - start);
    (void)bpf_link__destroy(link);
    bpf_object__close(object);
    return 0;
}
