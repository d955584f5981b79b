/* SPDX-License-Identifier: MIT */
#include "base/random.h"

#include <stdbool.h>
#include <string.h>

#include "unit.h"

static void a_seed_is_a_run(void **state)
{
    (void)state;
    struct prng a, b, c;
    prng_seed(&a, 42), prng_seed(&b, 42), prng_seed(&c, 43);
    bool differs = false;
    for (int i = 0; i < 100; i++) {
        uint64_t x = prng_u64(&a);
        assert_true(x == prng_u64(&b));
        differs = differs || x != prng_u64(&c);
    }
    assert_true(differs);
}

/* The first outputs of xoshiro256** seeded by splitmix64(0): the same on every machine and in every version. */
static void known_values(void **state)
{
    (void)state;
    struct prng p;
    prng_seed(&p, 0);
    assert_true(prng_u64(&p) == UINT64_C(0x99ec5f36cb75f2b4));
    assert_true(prng_u64(&p) == UINT64_C(0xbf6e1f784956452a));
}

static void below_is_even_and_bounded(void **state)
{
    (void)state;
    struct prng p;
    int seen[7] = {0};
    prng_seed(&p, 1);
    for (int i = 0; i < 70000; i++)
        seen[prng_below(&p, 7)]++;
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 9500, 10500); /* five standard deviations are 463 */
    assert_int_equal(prng_below(&p, 1), 0);
}

static void units_and_means(void **state)
{
    (void)state;
    struct prng p;
    double sum = 0, exponential = 0;
    prng_seed(&p, 2);
    for (int i = 0; i < 100000; i++) {
        double u = prng_unit(&p);
        assert_true(u >= 0 && u < 1);
        sum += u;
        exponential += prng_exponential(&p, 3);
    }
    assert_true(sum > 49500 && sum < 50500);
    assert_true(exponential > 294000 && exponential < 306000);
}

static void bytes_fill_everything(void **state)
{
    (void)state;
    unsigned char a[300], used[300] = {0};
    for (int round = 0; round < 8; round++) {
        random_bytes(a, sizeof a);
        for (size_t i = 0; i < sizeof a; i++)
            used[i] |= a[i];
    }
    assert_null(memchr(used, 0, sizeof used)); /* each byte was not 0 at least once in 8 (else 1 in 2^56) */
    assert_true(random_u64() != random_u64());
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_seed_is_a_run), cmocka_unit_test(known_values),
                                       cmocka_unit_test(below_is_even_and_bounded), cmocka_unit_test(units_and_means),
                                       cmocka_unit_test(bytes_fill_everything)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
