/*
 * buffer.c: one CPU's event buffer, apart from how the kernel was asked for it.
 *
 * The kernel writes records at data_head, we read at data_tail; both only grow, and the buffer's size is a power of
 * two, so their low bits are the places in it (<linux/perf_event.h> documents the page that holds them). A batch
 * hands out pointers into the buffer itself. Its memory is given back, by moving data_tail, when the next batch is
 * asked for: until then the kernel cannot overwrite it, and counts what finds no room.
 */
#include "buffer.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>

#include "source.h"

/* perf_event_header.size has 16 bits, and records are padded to 8 bytes. */
enum { RECORD_MAX = 65536 };

/* What the kernel writes for bpf_perf_event_output with PERF_SAMPLE_RAW. */
struct sample_record {
    struct perf_event_header header;
    uint32_t size;
    uint8_t data[];
};

struct lost_record {
    struct perf_event_header header;
    uint64_t id;
    uint64_t lost;
};

int lp_buffer_init(struct lp_buffer *buffer, uint32_t cpu, void *pages, size_t page_size, size_t data_size)
{
    *buffer = (struct lp_buffer){
        .control = pages,
        .data = (uint8_t *)pages + page_size,
        .data_size = data_size,
        .cpu = cpu,
        .event_fd = -1,
    };
    buffer->wrapped = malloc(RECORD_MAX + 1);
    return buffer->wrapped ? 0 : -ENOMEM;
}

/*
 * A record in one piece. One that runs over the buffer's end is put together in buffer->wrapped; there is at most one
 * between tail and head, since they are never further apart than the buffer's size.
 */
static const struct perf_event_header *in_one_piece(const struct lp_buffer *buffer,
                                                    const struct perf_event_header *record)
{
    size_t until_end = (size_t)(buffer->data + buffer->data_size - (const uint8_t *)record);

    if (record->size <= until_end)
        return record;
    memcpy(buffer->wrapped, record, until_end);
    memcpy(buffer->wrapped + until_end, buffer->data, record->size - until_end);
    buffer->wrapped[record->size] = '\0'; /* for a string without a NUL */
    return (const void *)buffer->wrapped;
}

/*
 * Whether the contents are what the record has room for. Programs can send more than its 16 bits of length can say:
 * then what is there has been, or will be, overwritten by other records.
 */
static bool is_whole(const struct perf_event_header *record)
{
    const struct sample_record *sample = (const void *)record;

    return record->size >= sizeof(*sample) && sample->size <= record->size - sizeof(*sample);
}

void lp_buffer_release(struct lp_buffer *buffer)
{
    /* Pairs with the kernel's reading of data_tail: our reads of the records come before. */
    __atomic_store_n(&buffer->control->data_tail, buffer->tail, __ATOMIC_RELEASE);
}

size_t lp_buffer_fill(const struct lp_buffer *buffer)
{
    return (size_t)(__atomic_load_n(&buffer->control->data_head, __ATOMIC_ACQUIRE) - buffer->control->data_tail);
}

int lp_buffer_read(struct lp_buffer *buffer, struct lp_event *events, int max)
{
    /* Pairs with the kernel's writing of data_head: the records it counts are there. */
    uint64_t head = __atomic_load_n(&buffer->control->data_head, __ATOMIC_ACQUIRE);
    int count = 0;

    while (buffer->tail < head && count < max) {
        /* Records are aligned to 8 bytes, so at least the header never runs over the end. */
        const struct perf_event_header *record =
            (const void *)(buffer->data + (buffer->tail & (buffer->data_size - 1)));

        if (record->size < sizeof(*record) || record->size > head - buffer->tail) {
            /* Not a record: the kernel never writes that. Skip what cannot be understood, and say so. */
            buffer->damaged++;
            buffer->tail = head;
            break;
        }
        record = in_one_piece(buffer, record);
        if (record->type == PERF_RECORD_SAMPLE && !is_whole(record)) {
            buffer->damaged++;
        } else if (record->type == PERF_RECORD_SAMPLE) {
            const struct sample_record *sample = (const void *)record;

            events[count++] = (struct lp_event){sample->data, sample->size, (int16_t)buffer->cpu, 0};
        } else if (record->type == PERF_RECORD_LOST) {
            const struct lost_record *loss = (const void *)record;

            buffer->lost += loss->lost;
        }
        buffer->tail += record->size;
    }
    return count;
}

void lp_buffer_stretch(struct lp_buffer *buffer, struct lp_stretch *stretch)
{
    uint64_t head = __atomic_load_n(&buffer->control->data_head, __ATOMIC_ACQUIRE);
    size_t place = (size_t)buffer->tail & (buffer->data_size - 1); /* of the record behind it */
    size_t until_end = buffer->data_size - place;
    size_t length = (size_t)(head - buffer->tail);

    if (stretch->event < buffer->data || stretch->event >= buffer->data + buffer->data_size || place == 0)
        return; /* it was put together elsewhere, or is the buffer's last */
    length = length < until_end ? length : until_end;
    stretch->end_ = buffer->data + place + length + sizeof(struct sample_record);
    stretch->limit = buffer->data + place + length + sizeof(struct sample_record);
}

void lp_buffer_walked(struct lp_buffer *buffer, const uint8_t *contents)
{
    const struct sample_record *record = (const void *)(contents - sizeof(*record));
    size_t after = (size_t)((const uint8_t *)record - buffer->data) + record->header.size;
    size_t place = (size_t)buffer->tail & (buffer->data_size - 1);

    buffer->tail += after - place;
}
