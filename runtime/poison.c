/*
 * poison.c: LUAPROBE_DEBUG=1.
 *
 * The kernel reuses a buffer's memory after the batch, but nobody knows when: a script that keeps an event reads the
 * right values in a test and wrong ones under load. Here every batch is copied to a block of its own, which is filled
 * with 0xdb when the batch is over and not used again before many others were: what was kept shows it at once.
 */
#include "poison.h"

#include <stdlib.h>
#include <string.h>

#include "retire.h"

enum { BLOCKS = 4096, PADDING = 8 };

struct block {
    uint8_t *bytes;
    size_t size; /* how much is in use */
    size_t room;
};

struct lp_poison {
    struct block blocks[BLOCKS];
    size_t current;
};

struct lp_poison *lp_poison_new(void)
{
    return calloc(1, sizeof(struct lp_poison));
}

/* The next block, with room for `size` bytes; NULL without memory. */
static struct block *next_block(struct lp_poison *poison, size_t size)
{
    struct block *block;

    poison->current = (poison->current + 1) % BLOCKS;
    block = &poison->blocks[poison->current];
    if (block->room < size) {
        uint8_t *bytes = malloc(size);

        if (!bytes)
            return NULL;
        free(block->bytes);
        *block = (struct block){.bytes = bytes, .room = size};
    }
    block->size = 0;
    return block;
}

void lp_poison_copy(struct lp_poison *poison, struct lp_event *events, int count)
{
    size_t size = 0;
    struct block *block;

    for (int i = 0; i < count; i++)
        size += (events[i].size + PADDING) & ~(size_t)(PADDING - 1);
    block = next_block(poison, size + PADDING);
    if (!block)
        return; /* no memory: then the events themselves */
    for (int i = 0; i < count; i++) {
        uint8_t *copy = block->bytes + block->size;

        memcpy(copy, events[i].data, events[i].size);
        copy[events[i].size] = '\0'; /* for a string without a NUL */
        events[i].data = copy;
        block->size += (events[i].size + PADDING) & ~(size_t)(PADDING - 1);
    }
}

void lp_poison_release(struct lp_poison *poison)
{
    struct block *block = &poison->blocks[poison->current];

    if (block->bytes)
        memset(block->bytes, LP_POISON, block->room);
}

static void free_all(void *memory)
{
    struct lp_poison *poison = memory;

    for (size_t i = 0; i < BLOCKS; i++)
        free(poison->blocks[i].bytes);
    free(poison);
}

void lp_poison_free(struct lp_poison *poison)
{
    if (!poison)
        return;
    lp_poison_release(poison);
    lp_retire(poison, free_all);
}
