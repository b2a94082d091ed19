/*
 * strip.c: takes the debugging sections off an object that clang made.
 *
 * clang makes BTF only together with DWARF, which is most of the file and which nobody here reads. libbpf's linker
 * drops it, so llvm-strip need not be installed where scripts are written.
 */
#include <bpf/libbpf.h>
#include <errno.h>

#include "error.h"

int lp_object_strip(const char *from, const char *to)
{
    struct bpf_linker *linker;
    int error;

    lp_error_capture();
    linker = bpf_linker__new(to, NULL);
    if (!linker)
        return lp_error_from_libbpf(errno, "compile", to);
    error = bpf_linker__add_file(linker, from, NULL);
    if (!error)
        error = bpf_linker__finalize(linker);
    bpf_linker__free(linker);
    return error ? lp_error_from_libbpf(-error, "compile", from) : 0;
}
