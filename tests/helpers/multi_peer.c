/*
 * multi_peer.c: libbpf's own way of attaching to many functions, to be compared with.
 *
 *   multi_peer OBJECT.bpf.o PROGRAM PATTERN    prints the milliseconds that bpf_program__attach_kprobe_multi_opts took,
 *                                              and those that detaching took
 */
#include <bpf/libbpf.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
    struct bpf_object *object = argc == 4 ? bpf_object__open_file(argv[1], NULL) : NULL;
    struct bpf_program *program;
    struct bpf_link *link;
    double start;
    double attached;

    if (!object)
        return 2;
    bpf_object__for_each_program(program, object)
        bpf_program__set_autoload(program, strcmp(bpf_program__name(program), argv[2]) == 0);
    program = bpf_object__find_program_by_name(object, argv[2]);
    if (!program || bpf_object__load(object) != 0)
        return 1;
    start = now();
    link = bpf_program__attach_kprobe_multi_opts(program, argv[3], NULL);
    if (!link)
        return 1;
    attached = now();
    (void)bpf_link__destroy(link);
    printf("%.3f %.3f\n", attached - start, now() - attached);
    bpf_object__close(object);
    return 0;
}
