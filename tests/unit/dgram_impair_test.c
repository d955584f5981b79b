/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "dgram/impair.h"

static void fractions_are_exact_in_each_group(void **state)
{
    (void)state;
    struct impair_conf c = {.seed = 3};
    assert_ok(impair_ratio_parse(S("4/11"), &c.loss));
    struct impair i;
    impair_init(&i, &c);
    bool orders_differ = false;
    unsigned first = 0;
    for (int group = 0; group < 100; group++) {
        unsigned lost = 0, bits = 0;
        for (int k = 0; k < 11; k++) {
            bool l = impair_next(&i).lost;
            lost += l, bits = bits << 1 | l;
        }
        assert_int_equal(lost, 4);
        if (group == 0)
            first = bits;
        orders_differ |= bits != first;
    }
    assert_true(orders_differ);
    assert_int_equal(i.counts.seen, 1100);
    assert_int_equal(i.counts.lost, 400);
}

static void same_seed_same_run_and_kinds_do_not_disturb_each_other(void **state)
{
    (void)state;
    struct impair_conf a = {.seed = 9};
    assert_ok(impair_ratio_parse(S("30%"), &a.loss));
    struct impair_conf b = a, other = a;
    b.jitter = TICK_MS, b.delay = TICK_MS;
    assert_ok(impair_ratio_parse(S("0.2"), &b.duplicate));
    other.seed = 10;
    struct impair ia, ib, io;
    impair_init(&ia, &a), impair_init(&ib, &b), impair_init(&io, &other);
    int differ = 0;
    for (int k = 0; k < 10000; k++) {
        bool lost = impair_next(&ia).lost;
        assert_int_equal(lost, impair_next(&ib).lost);
        differ += lost != impair_next(&io).lost;
    }
    assert_true(differ > 3000);
    assert_in_range(ia.counts.lost, 2800, 3200);
    assert_in_range(ib.counts.duplicated, 1200, 1600);
}

static void bursts_have_the_mean_and_length_asked_for(void **state)
{
    (void)state;
    struct impair_conf c = {.seed = 1};
    assert_ok(impair_burst_parse(S("10%,5"), &c.burst));
    struct impair i;
    impair_init(&i, &c);
    unsigned bursts = 0;
    bool before = false;
    for (int k = 0; k < 1000000; k++) {
        bool lost = impair_next(&i).lost;
        bursts += lost && !before;
        before = lost;
    }
    assert_in_range(i.counts.lost, 97000, 103000);
    assert_in_range(i.counts.lost * 100 / bursts, 480, 520);
    assert_err(impair_burst_parse(S("90%,2"), &c.burst), E_USAGE);
    assert_err(impair_burst_parse(S("10%,0"), &c.burst), E_USAGE);
    assert_err(impair_burst_parse(S("100%"), &c.burst), E_USAGE);
}

static void jitter_stays_around_the_delay(void **state)
{
    (void)state;
    struct impair_conf c = {.seed = 1, .delay = 5 * TICK_MS, .jitter = 2 * TICK_MS};
    assert_true(impair_any(&c));
    struct impair i;
    impair_init(&i, &c);
    int64_t least = TICK_S, most = 0;
    for (int k = 0; k < 10000; k++) {
        int64_t d = impair_next(&i).delay;
        least = d < least ? d : least, most = d > most ? d : most;
    }
    assert_true(least >= 3 * TICK_MS && least < 3 * TICK_MS + TICK_MS / 100);
    assert_true(most <= 7 * TICK_MS && most > 7 * TICK_MS - TICK_MS / 100);
    c.delay = TICK_MS;
    impair_init(&i, &c);
    for (int k = 0; k < 1000; k++)
        assert_true(impair_next(&i).delay >= 0);
}

static void ratios_are_parsed_strictly(void **state)
{
    (void)state;
    struct impair_ratio r = {.p = -1};
    assert_err(impair_ratio_parse(S("12/11"), &r), E_USAGE);
    assert_err(impair_ratio_parse(S("x"), &r), E_USAGE);
    assert_err(impair_ratio_parse(S("1/99999999999"), &r), E_USAGE);
    assert_true(r.p < 0);
    assert_ok(impair_ratio_parse(S("40%"), &r));
    assert_int_equal(r.of[1], 0);
    char text[] = "aZ{\xc3\xa9 ping 1";
    impair_uppercase(text, sizeof text - 1);
    assert_string_equal(text, "AZ{\xc3\xa9 PING 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fractions_are_exact_in_each_group),
        cmocka_unit_test(same_seed_same_run_and_kinds_do_not_disturb_each_other),
        cmocka_unit_test(bursts_have_the_mean_and_length_asked_for),
        cmocka_unit_test(jitter_stays_around_the_delay),
        cmocka_unit_test(ratios_are_parsed_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
