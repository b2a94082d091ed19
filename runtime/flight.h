/* flight.h: snapshots of buffers that overwrite. See flight.c. */
#ifndef LUAPROBE_FLIGHT_H
#define LUAPROBE_FLIGHT_H

#include "buffer.h"

struct lp_flight;

struct lp_flight *lp_flight_new(void);
/* Copies what the buffers hold, the oldest first. The number of events, or a negative errno with the last error set. */
int lp_flight_take(struct lp_flight *flight, const struct lp_buffer *buffers, int count,
                   const struct lp_event **events);
void lp_flight_free(struct lp_flight *flight);

#endif
