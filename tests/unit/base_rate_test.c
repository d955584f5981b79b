/* SPDX-License-Identifier: MIT */
#include "base/rate.h"

#include "unit.h"

static struct addr client(uint32_t n)
{
    struct addr a = {.len = sizeof a.v4};
    a.v4.sin_family = AF_INET;
    a.v4.sin_addr.s_addr = htonl(0x0a000000 + n);
    return a;
}

static void a_burst_then_the_rate(void **state)
{
    (void)state;
    struct rate r;
    struct addr a = client(1), b = client(2);
    assert_ok(rate_init(&r, 10));
    tick t = 1000 * TICK_S;
    for (int i = 0; i < 10; i++)
        assert_true(rate_allow(&r, &a, t));
    assert_false(rate_allow(&r, &a, t));
    assert_true(rate_allow(&r, &b, t)); /* others are not touched by it */
    assert_false(rate_allow(&r, &a, t + 99 * TICK_MS));
    assert_true(rate_allow(&r, &a, t + 100 * TICK_MS));
    assert_false(rate_allow(&r, &a, t + 100 * TICK_MS));
    for (int i = 0; i < 10; i++)
        assert_true(rate_allow(&r, &a, t + 5 * TICK_S)); /* never more than one second's worth is saved up */
    assert_false(rate_allow(&r, &a, t + 5 * TICK_S));
    rate_done(&r);
}

static void ports_share_a_bucket(void **state)
{
    (void)state;
    struct rate r;
    struct addr a = client(1), b = client(1);
    addr_set_port(&a, 1000), addr_set_port(&b, 2000);
    assert_ok(rate_init(&r, 1));
    assert_true(rate_allow(&r, &a, TICK_S));
    assert_false(rate_allow(&r, &b, TICK_S));
    rate_done(&r);
}

static void a_flood_of_addresses(void **state)
{
    (void)state;
    struct rate r;
    assert_ok(rate_init(&r, 1));
    for (uint32_t i = 0; i < 100000; i++) {
        struct addr a = client(i);
        assert_true(rate_allow(&r, &a, TICK_S + i));
    }
    rate_done(&r);
}

static void no_limit(void **state)
{
    (void)state;
    struct rate r;
    struct addr a = client(1);
    assert_ok(rate_init(&r, 0));
    for (int i = 0; i < 1000; i++)
        assert_true(rate_allow(&r, &a, 0));
    rate_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_burst_then_the_rate), cmocka_unit_test(ports_share_a_bucket),
                                       cmocka_unit_test(a_flood_of_addresses), cmocka_unit_test(no_limit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
