/* buffer_test.c: a buffer whose records the test writes as the kernel would: order, wrapping, loss, damage. */
#include "test.h"

#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"

enum { PAGE = 4096, SIZE = 4096, HEADER = 12 /* the header and the sample's own size */ };

struct fake {
    struct lp_buffer buffer;
    uint8_t *pages;
    uint64_t head;
};

static void put(struct fake *fake, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        fake->pages[PAGE + ((fake->head + i) & (SIZE - 1))] = ((const uint8_t *)bytes)[i];
    fake->head += size;
    ((struct perf_event_mmap_page *)(void *)fake->pages)->data_head = fake->head;
}

/* One sample of `size` bytes, each of them `fill`; the whole record is padded to 8 bytes as the kernel does. */
static void put_sample(struct fake *fake, uint32_t size, uint8_t fill)
{
    uint8_t record[SIZE] = {0};
    uint32_t whole = (HEADER + size + 7) & ~7u;
    struct perf_event_header header = {.type = PERF_RECORD_SAMPLE, .size = (uint16_t)whole};
    uint32_t padded = whole - HEADER;

    memcpy(record, &header, sizeof(header));
    memcpy(record + sizeof(header), &padded, sizeof(padded));
    memset(record + HEADER, fill, size);
    put(fake, record, whole);
}

static void put_lost(struct fake *fake, uint64_t lost)
{
    struct {
        struct perf_event_header header;
        uint64_t id, lost;
    } record = {{.type = PERF_RECORD_LOST, .size = sizeof(record)}, 1, lost};

    put(fake, &record, sizeof(record));
}

static int setup(void **state)
{
    struct fake *fake = calloc(1, sizeof(*fake));

    fake->pages = aligned_alloc(PAGE, PAGE + SIZE);
    memset(fake->pages, 0, PAGE + SIZE);
    assert_int_equal(lp_buffer_init(&fake->buffer, 3, fake->pages, PAGE, SIZE), 0);
    *state = fake;
    return 0;
}

static int teardown(void **state)
{
    struct fake *fake = *state;

    free(fake->buffer.wrapped);
    free(fake->pages);
    free(fake);
    return 0;
}

static void empty_buffer_gives_nothing(void **state)
{
    struct fake *fake = *state;
    struct lp_event events[4];

    assert_int_equal(lp_buffer_read(&fake->buffer, events, 4), 0);
}

static void events_come_in_order_with_their_size_and_cpu(void **state)
{
    struct fake *fake = *state;
    struct lp_event events[4];

    put_sample(fake, 4, 1);
    put_sample(fake, 20, 2);
    assert_int_equal(lp_buffer_read(&fake->buffer, events, 4), 2);
    assert_int_equal(events[0].size, 4);
    assert_int_equal(events[0].cpu, 3);
    assert_int_equal(*(const uint8_t *)events[0].data, 1);
    assert_int_equal(events[1].size, 20);
    assert_int_equal(*(const uint8_t *)events[1].data, 2);
}

static void a_batch_holds_no_more_than_asked_and_the_next_goes_on(void **state)
{
    struct fake *fake = *state;
    struct lp_event events[2];

    for (uint8_t i = 0; i < 3; i++)
        put_sample(fake, 4, i);
    assert_int_equal(lp_buffer_read(&fake->buffer, events, 2), 2);
    assert_int_equal(lp_buffer_read(&fake->buffer, events, 2), 1);
    assert_int_equal(*(const uint8_t *)events[0].data, 2);
}

static void memory_goes_back_to_the_kernel_only_on_release(void **state)
{
    struct fake *fake = *state;
    struct perf_event_mmap_page *control = (void *)fake->pages;
    struct lp_event events[1];

    put_sample(fake, 4, 1);
    assert_int_equal(lp_buffer_read(&fake->buffer, events, 1), 1);
    assert_int_equal(control->data_tail, 0);
    lp_buffer_release(&fake->buffer);
    assert_int_equal(control->data_tail, control->data_head);
}

/* Every place in the buffer at which a record can begin, so also every way to run over its end. */
static void records_survive_the_end_of_the_buffer(void **state)
{
    struct fake *fake = *state;
    struct lp_event events[8];
    uint8_t expected[300];

    for (int i = 0; i < 3 * SIZE / 8; i++) {
        uint32_t size = 4 + (uint32_t)(i * 8) % 290;

        put_sample(fake, size, (uint8_t)i);
        assert_int_equal(lp_buffer_read(&fake->buffer, events, 8), 1);
        memset(expected, i, sizeof(expected));
        assert_memory_equal(events[0].data, expected, size);
        lp_buffer_release(&fake->buffer);
    }
}

static void lost_events_are_counted_and_not_delivered(void **state)
{
    struct fake *fake = *state;
    struct lp_event events[4];

    put_lost(fake, 7);
    put_sample(fake, 4, 1);
    put_lost(fake, 5);
    assert_int_equal(lp_buffer_read(&fake->buffer, events, 4), 1);
    assert_int_equal(fake->buffer.lost, 12);
}

static void records_of_other_types_are_passed_over(void **state)
{
    struct fake *fake = *state;
    struct lp_event events[4];
    struct {
        struct perf_event_header header;
        uint64_t rest;
    } throttle = {{.type = PERF_RECORD_THROTTLE, .size = sizeof(throttle)}, 0};

    put(fake, &throttle, sizeof(throttle));
    put_sample(fake, 4, 9);
    assert_int_equal(lp_buffer_read(&fake->buffer, events, 4), 1);
    assert_int_equal(*(const uint8_t *)events[0].data, 9);
}

/* The length of a record has 16 bits: of what is larger the kernel writes the lower ones. */
static void samples_that_are_larger_than_their_records_are_counted(void **state)
{
    struct fake *fake = *state;
    struct lp_event events[4];
    struct {
        struct perf_event_header header;
        uint32_t size;
        uint32_t rest;
    } larger = {{.type = PERF_RECORD_SAMPLE, .size = sizeof(larger)}, 65536 + 4, 0};
    struct perf_event_header shorter = {.type = PERF_RECORD_SAMPLE, .size = sizeof(shorter)};

    put(fake, &larger, sizeof(larger));
    put_sample(fake, 4, 1);
    put(fake, &shorter, sizeof(shorter));
    put_sample(fake, 4, 2);
    assert_int_equal(lp_buffer_read(&fake->buffer, events, 4), 2);
    assert_int_equal(*(const uint8_t *)events[0].data, 1);
    assert_int_equal(*(const uint8_t *)events[1].data, 2);
    assert_int_equal(fake->buffer.damaged, 2);
}

static void damage_is_skipped_and_counted(void **state)
{
    struct fake *fake = *state;
    struct lp_event events[4];
    struct perf_event_header nothing = {.type = PERF_RECORD_SAMPLE, .size = 0};
    struct perf_event_header beyond = {.type = PERF_RECORD_SAMPLE, .size = 4000};

    put(fake, &nothing, sizeof(nothing));
    assert_int_equal(lp_buffer_read(&fake->buffer, events, 4), 0);
    put(fake, &beyond, sizeof(beyond));
    assert_int_equal(lp_buffer_read(&fake->buffer, events, 4), 0);
    assert_int_equal(fake->buffer.damaged, 2);
    put_sample(fake, 4, 1);
    assert_int_equal(lp_buffer_read(&fake->buffer, events, 4), 1);
}

/* What a loop walks by itself, as lua/luaprobe/walk.lua does. Returns how many samples that were. */
static int walk(struct lp_buffer *buffer, struct lp_stretch *stretch)
{
    int count = 1;

    lp_buffer_stretch(buffer, stretch);
    while (stretch->limit) {
        uint16_t length;
        struct perf_event_header header;

        memcpy(&length, stretch->event - HEADER + 6, sizeof(length));
        if (stretch->event + length >= stretch->limit)
            break;
        memcpy(&header, stretch->event + length - HEADER, sizeof(header));
        if (header.type != PERF_RECORD_SAMPLE || stretch->event + length + header.size > stretch->end_)
            break;
        stretch->event += length;
        count++;
    }
    if (stretch->limit)
        lp_buffer_walked(buffer, stretch->event);
    return count;
}

/* However reading and walking take turns, each sample comes once, over the end of the buffer and over losses. */
static void samples_are_walked_where_they_are_plain(void **state)
{
    struct fake *fake = *state;
    int sent = 0;
    int seen = 0;

    for (int round = 0; round < 200; round++) {
        struct lp_event event;

        for (int i = 0; i < 12; i++, sent++)
            put_sample(fake, 4 + (uint32_t)(sent * 8) % 290, (uint8_t)sent);
        if (round % 3 == 0)
            put_lost(fake, 1);
        while (lp_buffer_read(&fake->buffer, &event, 1) == 1) {
            struct lp_stretch stretch = {.event = event.data};

            assert_int_equal(*(const uint8_t *)event.data, (uint8_t)seen);
            seen += walk(&fake->buffer, &stretch);
            assert_int_equal(*stretch.event, (uint8_t)(seen - 1));
            lp_buffer_release(&fake->buffer);
        }
    }
    assert_int_equal(seen, sent);
    assert_int_equal(fake->buffer.lost, 67);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(empty_buffer_gives_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(events_come_in_order_with_their_size_and_cpu, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_holds_no_more_than_asked_and_the_next_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_goes_back_to_the_kernel_only_on_release, setup, teardown),
        cmocka_unit_test_setup_teardown(records_survive_the_end_of_the_buffer, setup, teardown),
        cmocka_unit_test_setup_teardown(lost_events_are_counted_and_not_delivered, setup, teardown),
        cmocka_unit_test_setup_teardown(records_of_other_types_are_passed_over, setup, teardown),
        cmocka_unit_test_setup_teardown(samples_are_walked_where_they_are_plain, setup, teardown),
        cmocka_unit_test_setup_teardown(samples_that_are_larger_than_their_records_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_is_skipped_and_counted, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
