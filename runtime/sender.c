/* sender.c: samples for programs to read, through a user ring buffer (BPF_MAP_TYPE_USER_RINGBUF, Linux 6.1). */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "map.h"

struct lp_sender {
    struct user_ring_buffer *ring;
};

struct lp_sender *lp_sender_open(int map_fd)
{
    struct lp_sender *sender = calloc(1, sizeof(*sender));

    if (!sender) {
        lp_error_set(ENOMEM, "map", "no memory");
        return NULL;
    }
    lp_error_capture();
    sender->ring = user_ring_buffer__new(map_fd, NULL);
    if (sender->ring)
        return sender;
    (void)lp_map_explain(-errno);
    free(sender);
    return NULL;
}

int lp_sender_send(struct lp_sender *sender, const void *data, uint32_t size)
{
    void *room = user_ring_buffer__reserve(sender->ring, size);

    if (!room)
        return errno == ENOSPC ? -ENOSPC : lp_map_explain(-errno);
    memcpy(room, data, size);
    user_ring_buffer__submit(sender->ring, room);
    return 0;
}

void lp_sender_close(struct lp_sender *sender)
{
    if (!sender)
        return;
    user_ring_buffer__free(sender->ring);
    free(sender);
}
