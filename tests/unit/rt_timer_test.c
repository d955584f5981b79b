/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "base/random.h"
#include "rt/timer.h"

enum { COUNT = 500 };
struct probe {
    struct timer timer;
    tick fired;
};
static struct probe probes[COUNT];
static tick clock_at;

static void note_time(struct timer *t)
{
    ((struct probe *)t)->fired = clock_at;
}

/* Drive the wheel as the loop does: sleep until timer_wheel_next, then run. */
static void drive(struct timer_wheel *w, tick end)
{
    while (clock_at < end) {
        tick next = timer_wheel_next(w);
        assert_true(next == TICK_NEVER || next >= (clock_at >> TIMER_SHIFT << TIMER_SHIFT));
        clock_at = next < end ? (next > clock_at ? next : clock_at + 1) : end;
        timer_wheel_run(w, clock_at);
    }
}

static void fires_once_and_exactly_on_time(void **state)
{
    (void)state;
    struct prng r;
    struct timer_wheel w;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        prng_seed(&r, seed);
        clock_at = (tick)prng_below(&r, 1u << 30) << 12;
        timer_wheel_init(&w, clock_at);
        tick start = clock_at;
        for (int i = 0; i < COUNT; i++) {
            unsigned magnitude = (unsigned)prng_below(&r, 38); /* ns up to four minutes */
            probes[i] = (struct probe){.timer.fire = note_time};
            timer_wheel_set(&w, &probes[i].timer, start + (tick)prng_below(&r, (uint64_t)2 << magnitude));
        }
        drive(&w, start + (INT64_C(2) << 38));
        for (int i = 0; i < COUNT; i++) {
            assert_true(probes[i].fired >= probes[i].timer.at);
            assert_true(probes[i].fired <= probes[i].timer.at + 1 || probes[i].timer.at <= start);
        }
    }
}

static void later_is_lazy_but_holds(void **state)
{
    (void)state;
    struct timer_wheel w;
    clock_at = 0;
    timer_wheel_init(&w, 0);
    struct probe p = {.timer.fire = note_time};
    timer_wheel_set(&w, &p.timer, 10 * TICK_MS);
    struct list *place = p.timer.link.next;
    timer_wheel_set(&w, &p.timer, 50 * TICK_MS);
    assert_ptr_equal(p.timer.link.next, place); /* not moved */
    drive(&w, 40 * TICK_MS);
    assert_int_equal(p.fired, 0);
    drive(&w, 60 * TICK_MS);
    assert_int_equal(p.fired, 50 * TICK_MS);
}

static void earlier_moves_and_stop_stops(void **state)
{
    (void)state;
    struct timer_wheel w;
    clock_at = 0;
    timer_wheel_init(&w, 0);
    struct probe a = {.timer.fire = note_time}, b = {.timer.fire = note_time};
    timer_wheel_set(&w, &a.timer, 50 * TICK_S);
    timer_wheel_set(&w, &a.timer, 5 * TICK_MS);
    timer_wheel_set(&w, &b.timer, 5 * TICK_MS);
    timer_stop(&b.timer);
    drive(&w, 100 * TICK_S);
    assert_int_equal(a.fired, 5 * TICK_MS);
    assert_int_equal(b.fired, 0);
    assert_int_equal(timer_wheel_next(&w), TICK_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fires_once_and_exactly_on_time),
        cmocka_unit_test(later_is_lazy_but_holds),
        cmocka_unit_test(earlier_moves_and_stop_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
