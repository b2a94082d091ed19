/*
 * binary.c: programs and libraries as uprobes see them: files, in which a probe is at an offset.
 */
#include "binary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"

#ifdef __aarch64__
enum { MACHINE = EM_AARCH64 };
#else
enum { MACHINE = EM_X86_64 };
#endif

static int refuse(const char *path, const char *why, const char *hint)
{
    lp_error_set(EINVAL, "attach", "%s: %s", path, why);
    lp_error_hint("%s", hint);
    return -EINVAL;
}

static int check_file(const char *path, int fd, uint64_t *size)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        return lp_error_set(errno, "attach", "%s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return refuse(path, "is not a file that could be probed", "name a program or a library");
    *size = (uint64_t)status.st_size;
    return 0;
}

/* Without its sections, at the end of the file, a program seems to be stripped of its symbols. */
static bool holds_sections(const GElf_Ehdr *header, uint64_t size)
{
    return header->e_shoff <= size && (uint64_t)header->e_shnum * header->e_shentsize <= size - header->e_shoff;
}

static int check_elf(const char *path, Elf *elf, uint64_t size)
{
    GElf_Ehdr header;
    size_t segments;

    if (!elf || elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &header))
        return refuse(path, "is not an ELF file",
                      "uprobes go into programs and libraries; of a script, probe its interpreter");
    if (header.e_machine != MACHINE || gelf_getclass(elf) != ELFCLASS64)
        return refuse(path, "is for another processor than this machine's", "name a 64-bit binary of this machine");
    if (!holds_sections(&header, size))
        return refuse(path, "is damaged: it ends before its table of sections does", "copy or install it again");
    if (elf_getphdrnum(elf, &segments) != 0 || segments == 0)
        return refuse(path, "has no segments, so it is never run: an object file, or truncated",
                      "name the program or library that it is part of");
    return 0;
}

struct lp_binary *lp_binary_open(const char *path)
{
    struct lp_binary *binary = calloc(1, sizeof(*binary));
    uint64_t size = 0;

    if (!binary || !(binary->path = strdup(path))) {
        lp_error_set(ENOMEM, "attach", "%s: no memory", path);
        free(binary);
        return NULL;
    }
    binary->debug_fd = -1;
    (void)elf_version(EV_CURRENT);
    /* O_NONBLOCK: opening a FIFO nobody writes to would wait for ever. */
    binary->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (binary->fd < 0) {
        int error = errno;

        lp_error_set(error, "attach", "%s: %s", path, strerror(error));
        if (error == ENOENT)
            lp_error_hint(
                "name a program or library by its path, or without a slash as the shell and the loader find it");
        goto fail;
    }
    if (check_file(path, binary->fd, &size) != 0)
        goto fail;
    binary->elf = elf_begin(binary->fd, ELF_C_READ, NULL);
    if (check_elf(path, binary->elf, size) == 0)
        return binary;

fail:
    lp_binary_close(binary);
    return NULL;
}

void lp_binary_close(struct lp_binary *binary)
{
    if (!binary)
        return;
    (void)elf_end(binary->debug);
    (void)elf_end(binary->elf);
    if (binary->debug_fd >= 0)
        close(binary->debug_fd);
    if (binary->fd >= 0)
        close(binary->fd);
    free(binary->symbols);
    free(binary->path);
    free(binary);
}

Elf_Scn *lp_binary_section(Elf *elf, const char *name, GElf_Shdr *header)
{
    Elf_Scn *section = NULL;
    size_t names;

    if (elf_getshdrstrndx(elf, &names) != 0)
        return NULL;
    while ((section = elf_nextscn(elf, section))) {
        const char *found = gelf_getshdr(section, header) ? elf_strptr(elf, names, header->sh_name) : NULL;

        if (found && strcmp(found, name) == 0)
            return section;
    }
    return NULL;
}

/* The i-th segment that is mapped from the file. */
static bool segment_at(const struct lp_binary *binary, size_t i, GElf_Phdr *out)
{
    return gelf_getphdr(binary->elf, (int)i, out) && out->p_type == PT_LOAD;
}

bool lp_binary_file_offset(const struct lp_binary *binary, uint64_t address, bool executable, uint64_t *offset)
{
    GElf_Phdr segment;
    size_t count;

    if (elf_getphdrnum(binary->elf, &count) != 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!segment_at(binary, i, &segment) || address < segment.p_vaddr ||
            address - segment.p_vaddr >= segment.p_filesz || (executable && !(segment.p_flags & PF_X)))
            continue;
        *offset = address - segment.p_vaddr + segment.p_offset;
        return true;
    }
    return false;
}

/* The segment that holds an offset in the file: the one that is executed, if two do. */
static bool segment_of(const struct lp_binary *binary, uint64_t offset, GElf_Phdr *out)
{
    GElf_Phdr segment;
    size_t count;
    bool found = false;

    if (elf_getphdrnum(binary->elf, &count) != 0)
        count = 0;
    for (size_t i = 0; i < count; i++) {
        if (!segment_at(binary, i, &segment) || offset < segment.p_offset ||
            offset - segment.p_offset >= segment.p_filesz)
            continue;
        *out = segment;
        found = true;
        if (segment.p_flags & PF_X)
            break;
    }
    return found;
}

bool lp_binary_address(const struct lp_binary *binary, uint64_t offset, uint64_t *address)
{
    GElf_Phdr segment;

    if (!segment_of(binary, offset, &segment) || !(segment.p_flags & PF_X))
        return false;
    *address = offset - segment.p_offset + segment.p_vaddr;
    return true;
}

int lp_binary_check(const struct lp_binary *binary, uint64_t offset)
{
    GElf_Phdr segment;
    bool mapped = segment_of(binary, offset, &segment);

    if (mapped && (segment.p_flags & PF_X))
        return 0;
    lp_error_set(EINVAL, "attach", "%s: offset 0x%llx is %s", binary->path, (unsigned long long)offset,
                 mapped ? "not in a part of the file that is executed" : "in no part of the file that is mapped");
    lp_error_hint("the offset is that in the file, as objdump -F shows it");
    return -EINVAL;
}

bool lp_binary_is_go(const struct lp_binary *binary)
{
    static const char *const sections[] = {".go.buildinfo", ".note.go.buildid", ".gopclntab", ".data.rel.ro.gopclntab"};
    GElf_Shdr header;

    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        if (lp_binary_section(binary->elf, sections[i], &header))
            return true;
    }
    return false;
}
