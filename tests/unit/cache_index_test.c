/* SPDX-License-Identifier: MIT */
#include "cache/index.h"

#include "base/random.h"
#include "unit.h"

/* The index never looks into an object: any distinct pointers do. */
enum { PLACES = 600, STEPS = 40000 };
static char place[PLACES];

static struct cache_object *object(size_t i)
{
    return (struct cache_object *)(void *)&place[i];
}

/* Few starts, so that searches run into each other and over the end; some have one hash in common. */
static uint64_t hash_of(size_t i)
{
    return (uint64_t)(i % 97) << 40 | (i % 97 % 11) * UINT64_C(0x123456789) % 1021;
}

static bool found(const struct cache_index *x, size_t i)
{
    size_t n = 0, all = 0;
    for (struct cache_slot *s = cache_index_first(x, hash_of(i)); s; s = cache_index_next(x, s)) {
        assert_true(s->hash == hash_of(i));
        n += s->object == object(i);
        assert_true(++all < PLACES);
    }
    assert_true(n <= 1);
    return n;
}

static void says_what_a_list_says(void **state)
{
    (void)state;
    struct cache_index x;
    struct prng r;
    bool in[PLACES] = {0};
    size_t count = 0;
    prng_seed(&r, random_u64());
    assert_ok(cache_index_init(&x));
    for (int step = 0; step < STEPS; step++) {
        /* Full and nearly empty by turns. */
        size_t i = prng_below(&r, PLACES), likely = step / 4000 % 2 ? 10 : 90;
        if (in[i] && prng_below(&r, 100) >= likely) {
            cache_index_remove(&x, hash_of(i), object(i));
            in[i] = false;
            count--;
        } else if (!in[i] && prng_below(&r, 100) < likely) {
            assert_true(cache_index_add(&x, hash_of(i), object(i)));
            in[i] = true;
            count++;
        }
        assert_int_equal(x.count, count);
        for (int k = 0; k < 3; k++) {
            size_t one = prng_below(&r, PLACES);
            assert_int_equal(found(&x, one), in[one]);
        }
    }
    for (size_t i = 0; i < PLACES; i++)
        assert_int_equal(found(&x, i), in[i]);
    cache_index_done(&x);
}

static void a_full_one_has_room_for_searches_to_end(void **state)
{
    (void)state;
    struct cache_index x;
    assert_ok(cache_index_init(&x));
    for (size_t i = 0; i < PLACES; i++) {
        assert_true(cache_index_add(&x, i * UINT64_C(0x9e3779b97f4a7c15), object(i)));
        assert_true(x.count <= cache_index_size(&x) / 4 * 3);
    }
    assert_null(cache_index_first(&x, 1));
    cache_index_done(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_a_list_says),
        cmocka_unit_test(a_full_one_has_room_for_searches_to_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
