/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <math.h>

#include "app/path/delay_sim.h"

#define assert_close(a, b) assert_true(fabs((a) - (b)) <= 1e-6 * fabs(b))

static void ten_packets_over_two_links(void **state)
{
    (void)state;
    struct delay_link links[] = {{1e6, 1e5, 2e8, 0}, {1e6, 1e5, 2e8, 0}};
    struct delay_path p = {links, 2, 8000, 10};
    /* The textbook: (N + P - 1) L/R over N equal links, here 11 x 8 ms, and two times 0.5 ms of light. */
    assert_close(delay_last(&p), 11 * 0.008 + 2 * 0.0005);
    assert_close(delay_first(&p), 0.017);
    assert_close(delay_sim_train(&p), delay_last(&p));
}

static void unequal_links_are_bound_by_the_slowest(void **state)
{
    (void)state;
    struct delay_link links[] = {{1e7, 3e5, 2.5e8, 1e-4}, {5e5, 1e6, 2e8, 2e-4}, {1e8, 10, 3e8, 3e-4}, {5e5, 0, 1, 0}};
    struct delay_path p = {links, 4, 12000, 1000};
    assert_int_equal(delay_bottleneck(&p), 1);
    for (p.count = 1; p.count <= 4; p.count++)
        for (p.packets = 1; p.packets <= 1000; p.packets = p.packets * 7 + 1)
            assert_close(delay_sim_train(&p), delay_last(&p));
}

static void queues_agree_with_the_textbook(void **state)
{
    (void)state;
    assert_close(delay_wait_mm1(0.9, 0.008), 0.072);
    assert_close(delay_wait_md1(0.9, 0.008), 0.036);
    assert_true(isinf(delay_wait_mm1(1, 1)) && isinf(delay_wait_md1(1.5, 1)));
    /* The share of time in each state is load^n, scaled to one: summed here instead of in closed form. */
    for (double load = 0.1; load < 3; load += 0.3)
        for (unsigned k = 1; k < 200; k = k * 3 + 1) {
            double sum = 0, full = pow(load, k);
            for (unsigned n = 0; n <= k; n++)
                sum += pow(load, n);
            assert_close(delay_loss_mm1k(load, k), full / sum);
        }
    assert_close(delay_loss_mm1k(1, 9), 0.1);
    assert_close(delay_loss_mm1k(2, 5000), 0.5);
}

/* An interval of 95 % misses one time in twenty: of 60 runs 57 are expected inside, and fewer than 50 never. */
static void intervals_hold_what_they_promise(void **state)
{
    (void)state;
    int hit[3] = {0};
    const uint64_t samples = 300000;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        const struct delay_estimate e[3] = {delay_sim_wait(DELAY_EXPONENTIAL, 0.8, 1, samples, seed),
                                            delay_sim_wait(DELAY_CONSTANT, 0.8, 1, samples, seed),
                                            delay_sim_loss(0.9, 10, samples, seed)};
        const double truth[3] = {delay_wait_mm1(0.8, 1), delay_wait_md1(0.8, 1), delay_loss_mm1k(0.9, 10)};
        for (int i = 0; i < 3; i++) {
            hit[i] += fabs(e[i].mean - truth[i]) <= e[i].half;
            assert_true(e[i].half < 0.15 * truth[i]);
        }
    }
    for (int i = 0; i < 3; i++)
        assert_in_range(hit[i], 50, 60);
}

static void same_seed_same_figures(void **state)
{
    (void)state;
    struct delay_estimate a = delay_sim_wait(DELAY_EXPONENTIAL, 0.5, 1, 10000, 3);
    assert_true(a.mean == delay_sim_wait(DELAY_EXPONENTIAL, 0.5, 1, 10000, 3).mean);
    assert_true(a.mean != delay_sim_wait(DELAY_EXPONENTIAL, 0.5, 1, 10000, 4).mean);
    assert_true(delay_sim_loss(5, 1, 100000, 1).mean > 0.8);
    struct delay_estimate none = delay_sim_loss(0.1, 60, 30000, 1); /* none seen is not none at all */
    assert_true(none.mean == 0 && none.half > 0.9e-4 && none.half < 1.1e-4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_packets_over_two_links),     cmocka_unit_test(unequal_links_are_bound_by_the_slowest),
        cmocka_unit_test(queues_agree_with_the_textbook), cmocka_unit_test(intervals_hold_what_they_promise),
        cmocka_unit_test(same_seed_same_figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
