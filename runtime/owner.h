/* owner.h: to whom an event in tracefs belongs, as its name tells, and whether that process is gone. */
#ifndef LUAPROBE_OWNER_H
#define LUAPROBE_OWNER_H

#include <stdbool.h>
#include <stddef.h>

#define LP_EVENT_GROUP "luaprobe/"

struct lp_owner {
    long pid;
    unsigned long long start;         /* clock ticks since boot, field 22 of /proc/PID/stat */
    unsigned long long pid_namespace; /* inode */
};

/* Writes a name for a new event of this process. */
void lp_owner_write(char *out, size_t size);
/* What that wrote; false when it is somebody else's event. */
bool lp_owner_read(const char *event, struct lp_owner *out);
/* Only said when it is sure. */
bool lp_owner_is_gone(const struct lp_owner *owner);

#endif
