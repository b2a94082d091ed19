/* poison.h: finds scripts that read an event after its batch is over. See poison.c. */
#ifndef LUAPROBE_POISON_H
#define LUAPROBE_POISON_H

#include "luaprobe.h"

struct lp_poison;

struct lp_poison *lp_poison_new(void);
/* Replaces the batch by copies that nobody else writes to. */
void lp_poison_copy(struct lp_poison *poison, struct lp_event *events, int count);
/* Overwrites the copies of the last batch with LP_POISON bytes. */
void lp_poison_release(struct lp_poison *poison);
void lp_poison_free(struct lp_poison *poison);

enum { LP_POISON = 0xdb };

#endif
