/*
 * kernel_btf.c: the running kernel's types: those of vmlinux, and of its modules.
 *
 * Touching memory for the first time is most of the cost, so vmlinux's five to seven megabytes are not copied where the
 * kernel lets them be mapped (Linux 6.16), and come into memory that is there at once where not.
 */
#include "kernel_btf.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "btf.h"
#include "btf_check.h"
#include "error.h"

static const char vmlinux[] = "/sys/kernel/btf/vmlinux";

static struct lp_btf *kernel;
static char *custom_path;

/* A file from the user is looked at first: libbpf trusts what it reads. */
static struct lp_btf *read_custom(const char *path)
{
    struct lp_bytes bytes;
    struct lp_btf *btf = NULL;

    if (lp_bytes_read(path, (size_t)256 << 20, &bytes) != 0)
        return NULL;
    if (lp_btf_check_file(path, bytes.data, bytes.size) == 0) {
        struct btf *parsed = btf__parse(path, NULL);
        int error = errno;

        btf = parsed ? lp_btf_from_libbpf(parsed, NULL) : NULL;
        if (!btf) {
            lp_error_set(error, "types", "%s: holds no types (BTF) that can be read: %s", path, strerror(error));
            lp_error_hint("make one for this kernel: pahole --btf_encode_detached FILE vmlinux");
        }
    }
    lp_bytes_free(&bytes);
    return btf;
}

static bool read_whole(int fd, char *out, size_t size)
{
    for (size_t have = 0; have < size;) {
        ssize_t got = read(fd, out + have, size - have);

        if (got <= 0)
            return false;
        have += (size_t)got;
    }
    return true;
}

/* The file's bytes, to be unmapped; NULL and errno. */
static void *map_file(int fd, size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);

    if (memory != MAP_FAILED)
        return memory;
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    if (read_whole(fd, memory, size))
        return memory;
    munmap(memory, size);
    return NULL;
}

static struct lp_btf *read_vmlinux(void)
{
    struct stat status;
    struct lp_btf *btf = NULL;
    void *memory = NULL;
    int fd = open(vmlinux, O_RDONLY | O_CLOEXEC);
    int error;

    if (fd >= 0 && fstat(fd, &status) == 0)
        memory = map_file(fd, (size_t)status.st_size);
    error = errno;
    if (fd >= 0)
        close(fd);
    if (memory)
        btf = lp_btf_new(memory, (size_t)status.st_size, NULL);
    if (btf) {
        btf->memory = memory;
        btf->memory_size = (size_t)status.st_size;
        return btf;
    }
    if (memory) {
        munmap(memory, (size_t)status.st_size);
        error = EINVAL;
    }
    lp_error_set(error, "types", "this kernel's types (BTF) cannot be read: %s: %s", vmlinux, strerror(error));
    lp_error_hint("kernels with CONFIG_DEBUG_INFO_BTF have them; --btf FILE or LUAPROBE_BTF names a file of them");
    return NULL;
}

struct lp_btf *lp_btf_kernel(void)
{
    if (!kernel)
        kernel = custom_path ? read_custom(custom_path) : read_vmlinux();
    return kernel;
}

int lp_btf_kernel_use(const char *path)
{
    struct lp_btf *btf = read_custom(path);
    char *copy = strdup(path);

    if (!btf || !copy) {
        int error = btf ? lp_error_set(ENOMEM, "types", "%s: no memory", path) : -lp_error_last()->code;

        lp_btf_free(btf);
        free(copy);
        return error;
    }
    free(custom_path);
    lp_btf_free(kernel);
    custom_path = copy;
    kernel = btf;
    return 0;
}

const char *lp_btf_kernel_path(void)
{
    return custom_path;
}

struct lp_btf *lp_btf_module(const char *module)
{
    struct btf *base = lp_btf_kernel() ? btf__load_vmlinux_btf() : NULL;
    struct btf *split = base ? btf__load_module_btf(module, base) : NULL;
    struct lp_btf *btf = split ? lp_btf_from_libbpf(split, kernel) : NULL;

    btf__free(base);
    if (!btf)
        lp_error_set(ENOENT, "types", "module %s: its types (BTF) cannot be read", module);
    return btf;
}
