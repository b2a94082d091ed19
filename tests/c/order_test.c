/* order_test.c: events by their time, from a source that the test makes up. */
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cpus.h"
#include "order.h"
#include "poison.h"

enum { MOST = 4096 };

struct fake_event {
    uint64_t time;
    uint64_t number;
};

/* A source whose events the test appends; read hands them out in the order in which they came. */
struct fake {
    struct lp_source base;
    struct fake_event events[MOST];
    int sent, read, released;
};

static int fake_read(struct lp_source *source, struct lp_event *events, int max)
{
    struct fake *fake = (struct fake *)(void *)source;
    int count = 0;

    for (; count < max && fake->read < fake->sent; count++, fake->read++)
        events[count] =
            (struct lp_event){&fake->events[fake->read], sizeof(struct fake_event), (int16_t)(fake->read % 4), 0};
    return count;
}

static void fake_release(struct lp_source *source)
{
    struct fake *fake = (struct fake *)(void *)source;

    fake->released = fake->read;
}

static size_t fake_fill(const struct lp_source *source)
{
    const struct fake *fake = (const struct fake *)(const void *)source;

    return (size_t)(fake->sent - fake->released) * sizeof(struct fake_event);
}

static const struct lp_source_ops fake_ops = {.read = fake_read, .release = fake_release, .fill = fake_fill};

static struct fake fake;
static struct lp_order *order;

static int setup(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof(fake));
    fake.base.ops = &fake_ops;
    order = lp_order_new(1 << 20);
    return order ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    lp_order_free(order);
    return 0;
}

static void send(uint64_t time)
{
    fake.events[fake.sent] = (struct fake_event){time, (uint64_t)fake.sent};
    fake.sent++;
}

static uint64_t time_of(const struct lp_event *event)
{
    return ((const struct fake_event *)event->data)->time;
}

static void events_come_by_their_time(void **state)
{
    struct lp_event events[MOST];
    uint64_t last = 0;
    int count = 0;

    (void)state;
    lp_order_set(order, 0, 0);
    srand(1);
    for (int i = 0; i < 1000; i++)
        send((uint64_t)rand() % 100000);
    for (int got; (got = lp_order_read(order, &fake.base, events, 100)) > 0; count += got) {
        for (int i = 0; i < got; i++) {
            assert_true(time_of(&events[i]) >= last);
            assert_int_equal(events[i].late, 0);
            assert_int_equal(events[i].size, sizeof(struct fake_event));
            last = time_of(&events[i]);
        }
    }
    assert_int_equal(count, 1000);
    assert_int_equal(fake.released, 1000);
}

static void events_of_one_time_keep_their_order(void **state)
{
    struct lp_event events[16];

    (void)state;
    lp_order_set(order, 0, 0);
    for (int i = 0; i < 10; i++)
        send(7);
    assert_int_equal(lp_order_read(order, &fake.base, events, 16), 10);
    for (int i = 0; i < 10; i++)
        assert_int_equal(((const struct fake_event *)events[i].data)->number, i);
}

static void events_are_held_back_until_they_are_old_enough(void **state)
{
    struct lp_event events[16];
    uint64_t now = (uint64_t)lp_time_monotonic();

    (void)state;
    lp_order_set(order, 0, INT64_C(3600000000000));
    send(now);
    send(now - UINT64_C(3600000000000));
    assert_int_equal(lp_order_read(order, &fake.base, events, 16), 1);
    assert_int_equal(time_of(&events[0]), now - UINT64_C(3600000000000));
    assert_int_equal(lp_order_read(order, &fake.base, events, 16), 0);
    lp_order_flush(order);
    assert_int_equal(lp_order_read(order, &fake.base, events, 16), 1);
    assert_int_equal(time_of(&events[0]), now);
}

/* Clocks that are ahead, as CLOCK_BOOTTIME is after a suspend, delay nothing for longer than it was asked to wait. */
static void events_from_the_future_are_held_back_no_longer(void **state)
{
    enum { DELAY = 20000000 };
    const uint64_t hour = UINT64_C(3600000000000);
    struct lp_event events[16];
    uint64_t now = (uint64_t)lp_time_monotonic();

    (void)state;
    lp_order_set(order, 0, DELAY);
    send(now + 2 * hour);
    send(UINT64_MAX);
    assert_int_equal(lp_order_read(order, &fake.base, events, 16), 0);
    usleep(DELAY / 1000);
    send(now + hour); /* goes first, by its time, with those that have waited */
    assert_int_equal(lp_order_read(order, &fake.base, events, 16), 3);
    assert_int_equal(time_of(&events[0]), now + hour);
    assert_int_equal(time_of(&events[1]), now + 2 * hour);
    send(now + 3 * hour);
    assert_int_equal(lp_order_read(order, &fake.base, events, 16), 0);
    usleep(DELAY / 1000);
    assert_int_equal(lp_order_read(order, &fake.base, events, 16), 1);
    assert_int_equal(events[0].late, 1); /* behind the last of all times */
}

static void late_events_are_marked(void **state)
{
    struct lp_event events[16];

    (void)state;
    lp_order_set(order, 0, 0);
    send(10);
    assert_int_equal(lp_order_read(order, &fake.base, events, 16), 1);
    send(5);
    send(11);
    assert_int_equal(lp_order_read(order, &fake.base, events, 16), 2);
    assert_int_equal(events[0].late, 1);
    assert_int_equal(time_of(&events[0]), 5);
    assert_int_equal(events[1].late, 0);
}

/* Nothing is lost when more is waiting than can be held: the oldest are delivered before their time. */
static void a_full_ring_delivers_early_and_loses_nothing(void **state)
{
    struct lp_event events[512];
    struct lp_order *small = lp_order_new(1); /* a mebibyte at least */
    int count = 0;

    (void)state;
    assert_non_null(small);
    lp_order_set(small, 0, INT64_C(3600000000000));
    for (int round = 0; round < 20; round++) {
        fake.sent = fake.read = fake.released = 0;
        for (int i = 0; i < MOST; i++)
            send((uint64_t)lp_time_monotonic());
        for (int reads = 0; fake.read < fake.sent || reads < 1; reads++)
            count += lp_order_read(small, &fake.base, events, 512);
    }
    assert_true(count > 0);
    lp_order_flush(small);
    for (int got; (got = lp_order_read(small, &fake.base, events, 512)) > 0;)
        count += got;
    assert_int_equal(count, 20 * MOST);
    lp_order_free(small);
}

static void poison_shows_in_what_was_kept(void **state)
{
    struct lp_poison *poison = lp_poison_new();
    char text[] = "an event";
    struct lp_event event = {text, sizeof(text), 0, 0};
    const uint8_t *kept;

    (void)state;
    lp_poison_copy(poison, &event, 1);
    kept = event.data;
    assert_string_equal((const char *)kept, "an event");
    lp_poison_release(poison);
    for (size_t i = 0; i < sizeof(text); i++)
        assert_int_equal(kept[i], LP_POISON);
    lp_poison_free(poison);
}

static void news_of_cpus_are_understood(void **state)
{
    uint32_t cpu = 0;
    bool online = false;

    (void)state;
    assert_true(lp_cpus_parse("online@/devices/system/cpu/cpu13", &cpu, &online));
    assert_int_equal(cpu, 13);
    assert_true(online);
    assert_true(lp_cpus_parse("offline@/devices/system/cpu/cpu0", &cpu, &online));
    assert_int_equal(cpu, 0);
    assert_false(online);
    assert_false(lp_cpus_parse("add@/devices/system/cpu/cpu1", &cpu, &online));
    assert_false(lp_cpus_parse("online@/devices/system/cpu/cpu", &cpu, &online));
    assert_false(lp_cpus_parse("online@/devices/system/cpu/cpu1/x", &cpu, &online));
    assert_false(lp_cpus_parse("online@/devices/system/memory/memory1", &cpu, &online));
    assert_false(lp_cpus_parse("libudev", &cpu, &online));
    assert_false(lp_cpus_parse("", &cpu, &online));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(events_come_by_their_time, setup, teardown),
        cmocka_unit_test_setup_teardown(events_of_one_time_keep_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(events_are_held_back_until_they_are_old_enough, setup, teardown),
        cmocka_unit_test_setup_teardown(events_from_the_future_are_held_back_no_longer, setup, teardown),
        cmocka_unit_test_setup_teardown(late_events_are_marked, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_ring_delivers_early_and_loses_nothing, setup, teardown),
        cmocka_unit_test(poison_shows_in_what_was_kept),
        cmocka_unit_test(news_of_cpus_are_understood),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
