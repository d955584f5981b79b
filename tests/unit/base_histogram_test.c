/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>

#include "base/histogram.h"
#include "base/random.h"

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void quantiles_agree_with_sorting(void **state)
{
    (void)state;
    enum { N = 20001 };
    static int64_t v[N];
    struct histogram h;
    assert_ok(histogram_init(&h));
    struct prng r;
    prng_seed(&r, 4);
    double sum = 0, squares = 0;
    for (int i = 0; i < N; i++) {
        v[i] = (int64_t)prng_exponential(&r, 60000);
        histogram_add(&h, v[i]);
        sum += (double)v[i];
    }
    for (int i = 0; i < N; i++)
        squares += pow((double)v[i] - sum / N, 2);
    qsort(v, N, sizeof v[0], compare);
    static const double q[] = {0, 0.01, 0.5, 0.9, 0.99, 0.999, 1};
    for (size_t i = 0; i < sizeof q / sizeof q[0]; i++) {
        int64_t exact = v[q[i] > 0 ? (int)ceil(q[i] * N) - 1 : 0], got = histogram_quantile(&h, q[i]);
        assert_true(llabs(got - exact) <= exact / 2048 + 1);
    }
    assert_int_equal(h.min, v[0]);
    assert_int_equal(h.max, v[N - 1]);
    assert_true(fabs(h.mean - sum / N) < 1e-6 * h.mean);
    assert_true(fabs(histogram_stddev(&h) - sqrt(squares / N)) < 1e-6 * h.mean);
    assert_int_equal(histogram_between(&h, 0, INT64_MAX), N);
    uint64_t pieces = 0;
    for (int64_t from = 0; from < h.max + 777; from += 777)
        pieces += histogram_between(&h, from, from + 777);
    assert_int_equal(pieces, N);
    histogram_done(&h);
}

static void extremes_have_a_place(void **state)
{
    (void)state;
    struct histogram h;
    assert_ok(histogram_init(&h));
    assert_int_equal(histogram_quantile(&h, 0.5), 0);
    histogram_add(&h, INT64_MAX);
    histogram_add(&h, -7);
    assert_int_equal(h.min, 0);
    assert_int_equal(h.max, INT64_MAX);
    assert_int_equal(histogram_quantile(&h, 0.1), 0);
    histogram_done(&h);
    assert_ok(histogram_init(&h));
    for (int64_t v = 4090; v < 4100; v++)
        histogram_add(&h, v);
    assert_int_equal(histogram_between(&h, 4090, 4096), 6);
    histogram_done(&h);
}

static void hgrm_ends_at_all(void **state)
{
    (void)state;
    struct histogram h;
    struct buf b = {0};
    assert_ok(histogram_init(&h));
    for (int i = 1; i <= 100; i++)
        histogram_add(&h, i * 1000);
    assert_ok(histogram_hgrm(&h, 1000, &b));
    assert_ok(buf_add_char(&b, 0));
    assert_non_null(strstr(b.p, "       Value     Percentile TotalCount 1/(1-Percentile)\n"));
    assert_non_null(strstr(b.p, " 1.000000000000        100\n"));
    assert_non_null(strstr(b.p, " 0.500000000000         50           2.00\n"));
    buf_free(&b);
    histogram_done(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_agree_with_sorting),
        cmocka_unit_test(extremes_have_a_place),
        cmocka_unit_test(hgrm_ends_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
