/*
 * usdt.c: the USDT probes of a binary, as <sys/sdt.h> leaves them in notes ("stapsdt", type 3): three addresses (the
 * probe, the base that tells what prelink moved, the semaphore), then provider, name and arguments as strings.
 */
#include <string.h>

#include "binary.h"

enum { STAPSDT = 3 };

struct addresses {
    uint64_t probe, base, semaphore;
};

/* Copies a string that must end before `end`; returns what follows it, NULL when it does not. */
static const char *take_string(const char *text, const char *end, char *out, size_t size)
{
    size_t length = text ? strnlen(text, (size_t)(end - text)) : 0;

    if (!text || text + length >= end)
        return NULL;
    if (length >= size)
        length = size - 1;
    memcpy(out, text, length);
    out[length] = '\0';
    return text + strlen(text) + 1;
}

static bool parse(const struct lp_binary *binary, const char *data, size_t size, uint64_t base, struct lp_usdt *out)
{
    struct addresses addresses;
    const char *end = data + size;
    const char *text;

    if (size < sizeof(addresses))
        return false;
    memcpy(&addresses, data, sizeof(addresses));
    text = take_string(data + sizeof(addresses), end, out->provider, sizeof(out->provider));
    text = take_string(text, end, out->name, sizeof(out->name));
    if (!take_string(text, end, out->arguments, sizeof(out->arguments)))
        return false;
    if (base != 0)
        addresses.probe += base - addresses.base;
    return lp_binary_file_offset(binary, addresses.probe, true, &out->offset);
}

bool lp_binary_usdt(struct lp_binary *binary, uint64_t *position, struct lp_usdt *out)
{
    GElf_Shdr header;
    GElf_Shdr base_header;
    GElf_Nhdr note;
    size_t name;
    size_t description;
    uint64_t base = lp_binary_section(binary->elf, ".stapsdt.base", &base_header) ? base_header.sh_addr : 0;
    Elf_Scn *section = lp_binary_section(binary->elf, ".note.stapsdt", &header);
    Elf_Data *data = section ? elf_getdata(section, NULL) : NULL;

    while (data && *position < data->d_size) {
        size_t next = gelf_getnote(data, *position, &note, &name, &description);

        if (next == 0)
            return false;
        *position = next;
        if (note.n_type == STAPSDT && note.n_namesz == sizeof("stapsdt") &&
            memcmp((const char *)data->d_buf + name, "stapsdt", sizeof("stapsdt")) == 0 &&
            parse(binary, (const char *)data->d_buf + description, note.n_descsz, base, out))
            return true;
    }
    return false;
}
