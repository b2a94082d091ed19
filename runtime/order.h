/* order.h: events of all CPUs by their time. See order.c. */
#ifndef LUAPROBE_ORDER_H
#define LUAPROBE_ORDER_H

#include "source.h"

struct lp_order;

/* Holds back about as many bytes as the buffers do. NULL and the last error without memory. */
struct lp_order *lp_order_new(size_t capacity);
/* The place of the time in events, and how long to wait for others, in nanoseconds. */
int lp_order_set(struct lp_order *order, uint32_t offset, int64_t delay);
/* What lp_source_read does, by way of the events that are held back. */
int lp_order_read(struct lp_order *order, struct lp_source *source, struct lp_event *events, int max);
/* From now on waits for nobody. */
void lp_order_flush(struct lp_order *order);
void lp_order_free(struct lp_order *order);

#endif
