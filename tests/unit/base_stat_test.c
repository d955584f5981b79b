/* SPDX-License-Identifier: MIT */
#include "base/stat.h"

#include <pthread.h>

#include "unit.h"

static void *count_on_another_thread(void *arg)
{
    (void)arg;
    if (stat_join())
        return NULL;
    for (int i = 0; i < 1000; i++)
        stat_add(STAT_REQUESTS, 1);
    stat_add(STAT_CONNECTIONS_OPEN, -2);
    return NULL;
}

static void threads_are_summed(void **state)
{
    (void)state;
    pthread_t t;
    stat_add(STAT_REQUESTS, 1); /* before stat_join: nobody counts, nothing breaks */
    assert_int_equal(stat_sum(STAT_REQUESTS), 0);
    assert_ok(stat_join());
    stat_add(STAT_REQUESTS, 5);
    stat_add(STAT_CONNECTIONS_OPEN, 3);
    assert_int_equal(pthread_create(&t, NULL, count_on_another_thread, NULL), 0);
    pthread_join(t, NULL);
    assert_int_equal(stat_sum(STAT_REQUESTS), 1005);
    assert_int_equal(stat_sum(STAT_CONNECTIONS_OPEN), 1);
}

static bool holds(const struct buf *b, const char *text)
{
    return slice_find_slice(buf_slice(b), slice_z(text)) != SIZE_MAX;
}

static void as_openmetrics(void **state)
{
    (void)state;
    struct buf all = {0}, some = {0};
    stat_latency(1000000);
    stat_latency(3000000000);
    assert_ok(stat_openmetrics(&all, true));
    assert_ok(stat_openmetrics(&some, false));
    assert_true(holds(&all, "# TYPE l7_http_requests counter\n# HELP l7_http_requests HTTP requests answered\n"
                            "l7_http_requests_total 1005\n"));
    assert_true(holds(&all, "# TYPE l7_connections_open gauge\n"));
    assert_true(holds(&all, "\nl7_connections_open 1\n")); /* a gauge has no _total */
    assert_true(holds(&all, "l7_http_request_duration_seconds_count 2\n"));
    assert_true(holds(&all, "l7_http_request_duration_seconds_bucket{le=\"+Inf\"} 2\n"));
    assert_true(holds(&all, "l7_http_request_duration_seconds_sum 3.001000000\n"));
    assert_true(slice_ends(buf_slice(&all), S("# EOF\n")));
    assert_true(holds(&all, "l7_loop_long_turns_total 0\n"));
    assert_false(holds(&some, "l7_loop_long_turns"));
    buf_free(&all);
    buf_free(&some);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_are_summed), cmocka_unit_test(as_openmetrics)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
