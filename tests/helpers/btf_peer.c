/* btf_peer.c: what the look-up of a kernel type is compared with: libbpf's. Prints nanoseconds: btf_peer STRUCT */
#include <bpf/btf.h>
#include <stdio.h>
#include <time.h>

int main(int argc, char **argv)
{
    struct timespec begin;
    struct timespec end;
    struct btf *btf;

    if (argc != 2)
        return 2;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    btf = btf__load_vmlinux_btf();
    if (!btf || btf__find_by_name_kind(btf, argv[1], BTF_KIND_STRUCT) <= 0)
        return 1;
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%lld\n", (end.tv_sec - begin.tv_sec) * 1000000000LL + end.tv_nsec - begin.tv_nsec);
    return 0;
}
