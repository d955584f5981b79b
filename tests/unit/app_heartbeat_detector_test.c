/* SPDX-License-Identifier: MIT */
#include "app/heartbeat/detector.h"

#include <math.h>

#include "base/random.h"
#include "dgram/beat_packet.h"
#include "unit.h"

static const struct detector_aim hourly = {1 / 3600e9, NULL};

struct path {
    double loss, delay_ms;
    int64_t interval;
};

/* Beats over such a path; returns how many mistakes were made from beat `from` on. */
static int walk(struct detector *d, const struct path *p, uint64_t seed, int64_t beats, int64_t from)
{
    struct prng r;
    prng_seed(&r, seed);
    detector_start(d, p->interval, 0);
    detector_solve(d, &hourly);
    int64_t last = 0, mistakes = 0;
    tick newest = 0;
    for (int64_t k = 1; k < beats; k++) {
        if (prng_unit(&r) < p->loss)
            continue;
        tick at = k * p->interval + (tick)(prng_exponential(&r, p->delay_ms) * 1e6);
        at = at > newest ? at : newest;
        bool alarmed = at > detector_deadline(d);
        mistakes += alarmed && k >= from;
        detector_beat(d, (uint64_t)(k - last), at, alarmed, &hourly);
        last = k;
        newest = at;
    }
    return (int)mistakes;
}

static void a_clean_path_gets_a_short_deadline(void **state)
{
    (void)state;
    struct detector d;
    int mistakes = walk(&d, &(struct path){0, 0.2, 100 * TICK_MS}, 1, 10 * 36000, 0);
    assert_in_range(mistakes, 0, 20);                  /* ten hours at one an hour */
    assert_true(d.allow < 120e6f && d.allow > 100e6f); /* one interval and a few milliseconds */
}

static void mistakes_come_at_the_rate_asked_for(void **state)
{
    (void)state;
    struct detector d;
    int mistakes = 0;
    for (uint64_t seed = 0; seed < 10; seed++)
        mistakes += walk(&d, &(struct path){0.02, 5, 100 * TICK_MS}, 100 + seed, 10 * 36000, 36000);
    assert_in_range(mistakes, 45, 180);                /* 90 sender-hours at 1/hour */
    assert_true(d.allow > 300e6f && d.allow < 340e6f); /* two beats may be missing, not three */
}

/* One beat in 200 is lost and nothing ever delayed: "one missing" comes 180 times an hour, "two" not quite once, and no
   deadline lies between. Only mistakes made teach the detector to take turns. */
static void the_rate_holds_where_no_deadline_has_it(void **state)
{
    (void)state;
    struct detector d;
    int mistakes = 0;
    for (uint64_t seed = 0; seed < 10; seed++)
        mistakes += walk(&d, &(struct path){0.005, 0.001, 100 * TICK_MS}, 300 + seed, 21 * 36000, 36000);
    assert_in_range(mistakes, 130, 300); /* 200 sender-hours at 1/hour */
}

/* Nothing is lost, but one beat in a hundred comes an interval later, side by side with the next one. */
static void beats_that_were_held_back_count_as_missing(void **state)
{
    (void)state;
    struct detector d;
    struct prng r;
    int64_t interval = TICK_S, beats = 60000, last = 0;
    prng_seed(&r, 4);
    detector_start(&d, interval, 0);
    detector_solve(&d, &hourly);
    for (int64_t k = 1; k < beats; k++) {
        double delay = prng_exponential(&r, 1);
        bool held = prng_unit(&r) < 0.01;
        double before = held ? prng_exponential(&r, 1) : INFINITY;
        k += held;
        for (int next = held && before < delay ? 0 : 1; next < 2; next++) {
            tick at = k * interval + (tick)((next ? delay : before) * 1e6);
            int64_t sequence = next ? k : k - 1;
            detector_beat(&d, (uint64_t)(sequence - last), at, at > detector_deadline(&d), &hourly);
            last = sequence;
        }
    }
    assert_in_range(d.held, 250, 350); /* half of six hundred came in front of the next one */
    for (int i = 14; i < DETECTOR_LATE; i++)
        assert_int_equal(d.late[i], 0); /* none is known as late by a second */
    assert_true(d.allow > 2.000e9f && d.allow < 2.012e9f);
}

/* With 5 % loss every 10 s "two missing" comes about as often as asked for, and a few milliseconds before that "one
   missing" comes twenty times as often. Patience that costs hardly anything is had, unless the rate would fall far
   below the one asked for. */
static void a_deadline_lies_behind_a_step_not_on_it(void **state)
{
    (void)state;
    struct detector d;
    int behind = 0;
    for (uint64_t seed = 0; seed < 10; seed++) {
        (void)walk(&d, &(struct path){0.05, 5, 10 * TICK_S}, 700 + seed, 20 * 360, 0);
        double allow = (double)d.allow, rate = detector_rate(&d, allow);
        print_message("%.3f s, %.2f an hour, %.2f later\n", allow / 1e9, rate * 3600e9,
                      detector_rate(&d, allow + 50e6) * 3600e9);
        behind += detector_rate(&d, allow + 50e6) > rate * 0.9;
        assert_true(allow > 20e9 && allow < 30.5e9);
    }
    assert_in_range(behind, 6, 10);
}

static void a_young_sender_gets_patience(void **state)
{
    (void)state;
    struct detector d;
    detector_start(&d, TICK_S, 0);
    detector_solve(&d, &hourly);
    assert_true(d.allow > 2e9f && d.allow < 60e9f);
}

static void a_shifted_path_costs_one_mistake(void **state)
{
    (void)state;
    struct detector d;
    (void)walk(&d, &(struct path){0, 0.2, 100 * TICK_MS}, 3, 10 * 36000, 0);
    int mistakes = 0;
    tick origin = d.base + 80 * TICK_MS;
    for (int k = 1; k < 1000; k++) {
        tick at = origin + k * 100 * TICK_MS;
        bool alarmed = at > detector_deadline(&d);
        mistakes += alarmed;
        detector_beat(&d, 1, at, alarmed, &hourly);
    }
    assert_int_equal(mistakes, 1);
}

static void an_unknown_interval_is_found(void **state)
{
    (void)state;
    struct detector d;
    detector_start(&d, 0, 5 * TICK_S);
    for (int k = 1; k < 200; k++)
        detector_beat(&d, 1, 5 * TICK_S + k * (TICK_S + TICK_MS), false, &hourly);
    assert_true(d.period > 1.0005e9 && d.period < 1.0015e9);
}

/* Text beats state no interval, and a listener may run for years. */
static void a_thousand_measured_periods_are_a_tick(void **state)
{
    (void)state;
    struct detector d;
    const tick year = 365 * 86400 * TICK_S;
    tick now = TICK_S;
    detector_start(&d, 0, now);
    for (int k = 0; k < 20; k++) {
        now += 3 * year;
        detector_beat(&d, 1, now, true, &hourly);
        assert_true(d.period > 0 && d.period <= (double)BEAT_INTERVAL_MAX);
        assert_true(detector_deadline(&d) > 0);
    }
}

static void an_outage_teaches_nothing(void **state)
{
    (void)state;
    struct detector d;
    (void)walk(&d, &(struct path){0, 0.2, 100 * TICK_MS}, 3, 36000, 0);
    float before = d.allow;
    detector_beat(&d, 36000, d.base + 3600 * TICK_S, true, &hourly);
    detector_solve(&d, &hourly);
    assert_true(d.allow <= before);
}

/* Nine have seen for three hours that beats are lost one at a time; the tenth has been there for a minute. */
static void a_young_sender_believes_the_others(void **state)
{
    (void)state;
    struct detector d, young;
    struct detector_pool pool = {0};
    for (uint64_t seed = 0; seed < 9; seed++) {
        (void)walk(&d, &(struct path){0.02, 5, 100 * TICK_MS}, 500 + seed, 3 * 36000, 0);
        detector_pool_add(&pool, &d);
    }
    (void)walk(&young, &(struct path){0.02, 5, 100 * TICK_MS}, 510, 100, 0);
    detector_solve(&young, &hourly);
    print_message("alone %.0f ms\n", (double)young.allow / 1e6);
    detector_solve(&young, &(struct detector_aim){hourly.rate, &pool});
    print_message("among others %.0f ms\n", (double)young.allow / 1e6);
    assert_true(young.allow > 300e6f && young.allow < 350e6f);
    detector_pool_add(&pool, &young); /* being among them changes nothing */
    float before = young.allow;
    detector_solve(&young, &(struct detector_aim){hourly.rate, &pool});
    assert_true(fabsf(young.allow - before) < 1e6f);
}

/* A thousand forged ones say that nine beats of ten are lost, in runs of hundreds, or that nothing ever is. */
static void others_that_differ_are_not_believed(void **state)
{
    (void)state;
    struct detector d, liar;
    (void)walk(&d, &(struct path){0.02, 5, 100 * TICK_MS}, 600, 36000, 0);
    detector_solve(&d, &hourly);
    float alone = d.allow;
    for (int lossy = 0; lossy <= 1; lossy++) {
        struct detector_pool pool = {0};
        detector_start(&liar, 100 * TICK_MS, 0);
        for (int k = 1; k < 10000; k++)
            detector_beat(&liar, lossy ? 100 : 1, (tick)k * (lossy ? 100 : 1) * 100 * TICK_MS, false, &hourly);
        for (int i = 0; i < 1000; i++)
            detector_pool_add(&pool, &liar);
        detector_solve(&d, &(struct detector_aim){hourly.rate, &pool});
        print_message("%s: alone %.0f ms, among them %.0f ms\n", lossy ? "lossy" : "clean", (double)alone / 1e6,
                      (double)d.allow / 1e6);
        assert_true(d.allow > alone * 2 / 3 && d.allow < alone * 3 / 2);
    }
}

/* Others say that a hundred alarms were foreseen for each that came. This one had as many as were foreseen. */
static void others_lean_on_nobody_by_more_than_they_may(void **state)
{
    (void)state;
    struct detector d, liar;
    struct detector_pool pool = {0};
    (void)walk(&d, &(struct path){0.02, 5, 100 * TICK_MS}, 800, 3 * 36000, 0);
    liar = d;
    liar.foreseen = 1000;
    liar.alarms = 10;
    d.foreseen = d.alarms = 4;
    detector_solve(&d, &hourly);
    double alone = (double)d.claim;
    for (int i = 0; i < 1000; i++)
        detector_pool_add(&pool, &liar);
    detector_solve(&d, &(struct detector_aim){hourly.rate, &pool});
    print_message("alone %.2f an hour, among them %.2f\n", alone, (double)d.claim);
    assert_true((double)d.claim < alone * 1.8);
}

static void the_rate_falls_with_patience(void **state)
{
    (void)state;
    struct detector d;
    (void)walk(&d, &(struct path){0.2, 5, 100 * TICK_MS}, 9, 36000, 0);
    double last = 1;
    for (double allow = 50e6; allow < 3e9; allow += 10e6) {
        double rate = detector_rate(&d, allow);
        assert_true(rate <= last * (1 + 1e-9));
        last = rate;
    }
    assert_true(last < 1e-15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_path_gets_a_short_deadline),
        cmocka_unit_test(mistakes_come_at_the_rate_asked_for),
        cmocka_unit_test(the_rate_holds_where_no_deadline_has_it),
        cmocka_unit_test(beats_that_were_held_back_count_as_missing),
        cmocka_unit_test(a_deadline_lies_behind_a_step_not_on_it),
        cmocka_unit_test(a_young_sender_gets_patience),
        cmocka_unit_test(a_shifted_path_costs_one_mistake),
        cmocka_unit_test(an_unknown_interval_is_found),
        cmocka_unit_test(a_thousand_measured_periods_are_a_tick),
        cmocka_unit_test(an_outage_teaches_nothing),
        cmocka_unit_test(a_young_sender_believes_the_others),
        cmocka_unit_test(others_that_differ_are_not_believed),
        cmocka_unit_test(others_lean_on_nobody_by_more_than_they_may),
        cmocka_unit_test(the_rate_falls_with_patience),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
