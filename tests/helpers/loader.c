/*
 * loader.c: what libbpf alone makes of BPF objects, to be compared with.
 *
 *   loader OBJECT.bpf.o…    prints each path and whether it could be loaded: "PATH ok" or "PATH refused"
 */
#include <bpf/libbpf.h>
#include <stdarg.h>
#include <stdio.h>

static int print_nothing(enum libbpf_print_level level, const char *format, va_list args)
{
    (void)level;
    (void)format;
    (void)args;
    return 0;
}

int main(int argc, char **argv)
{
    libbpf_set_print(print_nothing);
    for (int i = 1; i < argc; i++) {
        struct bpf_object *object = bpf_object__open_file(argv[i], NULL);

        printf("%s %s\n", argv[i], object && bpf_object__load(object) == 0 ? "ok" : "refused");
        bpf_object__close(object);
    }
    return 0;
}
