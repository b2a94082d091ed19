/* retire.c: a line of memory that waits for its turn to be freed, see retire.h. */
#include "retire.h"

#include <stdint.h>
#include <sys/mman.h>

enum { WAITING = 64 };

static struct retired {
    void *memory;
    size_t size; /* of pages; 0 for the rest */
    void (*release)(void *memory);
} line[WAITING];

static unsigned next;

static void let_go(const struct retired *retired)
{
    if (retired->size)
        munmap(retired->memory, retired->size);
    else if (retired->memory)
        retired->release(retired->memory);
}

static void enter(const struct retired *retired)
{
    let_go(&line[next]);
    line[next] = *retired;
    next = (next + 1) % WAITING;
}

void lp_retire_pages(void *pages, size_t size)
{
    enum { FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE };

    if (mmap(pages, size, PROT_READ, FLAGS, -1, 0) == MAP_FAILED)
        munmap(pages, size);
    else
        enter(&(struct retired){pages, size, NULL});
}

void lp_retire(void *memory, void (*release)(void *memory))
{
    if (memory)
        enter(&(struct retired){memory, 0, release});
}
