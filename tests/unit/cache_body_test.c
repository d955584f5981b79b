/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "base/random.h"
#include "cache/object.h"

static char truth[5000];

static void put(struct cache_body *b, uint64_t at, size_t n)
{
    while (n) {
        char *room;
        size_t cap;
        assert_ok(cache_body_room(b, at, 0, &room, &cap));
        cap = cap < n ? cap : n;
        memcpy(room, truth + at, cap);
        cache_body_grow(b, cap);
        at += cap, n -= cap;
    }
}

static void grows_and_reads_back(void **state)
{
    (void)state;
    struct cache_body *b = cache_body_new(5000);
    put(b, 0, 1000);
    assert_false(cache_body_complete(b));
    assert_int_equal(cache_body_at(b, 1000).n, 0);
    put(b, 1000, 4000);
    assert_true(cache_body_complete(b));
    for (uint64_t at = 0; at < 5000;) {
        struct slice s = cache_body_at(b, at);
        assert_true(s.n > 0);
        assert_memory_equal(s.p, truth + at, s.n);
        at += s.n;
    }
    cache_body_trim(b);
    assert_memory_equal(cache_body_at(b, 4999).p, truth + 4999, 1);
    cache_body_unref(b);
}

static void never_claims_a_byte_that_it_does_not_hold(void **state)
{
    (void)state;
    struct prng r;
    prng_seed(&r, 7);
    for (int round = 0; round < 300; round++) {
        struct cache_body *whole = cache_body_new(5000);
        bool held[5000] = {false};
        uint64_t count = 0;
        for (int i = 0; i < 8; i++) {
            uint64_t at = prng_below(&r, 4900), n = 1 + prng_below(&r, 5000 - at < 900 ? 5000 - at : 900);
            struct cache_body *part = cache_body_new(5000);
            put(part, at, (size_t)n);
            assert_ok(cache_body_merge(whole, part));
            cache_body_unref(part);
            for (uint64_t k = at; k < at + n; k++)
                count += !held[k], held[k] = true;
        }
        assert_int_equal(whole->held, count);
        for (uint64_t k = 0; k < 5000; k++) {
            struct slice s = cache_body_at(whole, k);
            assert_int_equal(s.n > 0, held[k]);
            if (s.n)
                assert_int_equal(s.p[0], truth[k]);
        }
        assert_int_equal(cache_body_has(whole, 0, 5000), count == 5000);
        cache_body_unref(whole);
    }
}

static void drops_what_was_read(void **state)
{
    (void)state;
    struct cache_body *b = cache_body_new(CACHE_LENGTH_UNKNOWN);
    put(b, 0, 5000);
    cache_body_drop_before(b, 4500);
    assert_int_equal(cache_body_at(b, 0).n, 0);
    assert_memory_equal(cache_body_at(b, 4500).p, truth + 4500, 10);
    cache_body_unref(b);
}

/* An object with a body of n bytes from `at` on of one of `length`. */
static struct cache_object *object(uint64_t length, uint64_t at, size_t n)
{
    struct http_fields none = {0};
    struct cache_body *b = cache_body_new(length);
    put(b, at, n);
    cache_body_trim(b);
    struct cache_object_make m = {.info = {.status = 200}, .fields = &none, .body = b};
    cache_key_of_text(&m.key, S("http://x/"));
    struct cache_object *o = cache_object_new(&m);
    cache_body_unref(b);
    return o;
}

static void small_bodies_stand_in_their_object(void **state)
{
    (void)state;
    size_t before = cache_body_alive();
    struct cache_object *o = object(1000, 0, 1000);
    assert_int_equal(cache_body_alive() - before, 1000);
    assert_ptr_equal(o->whole.p, o->start.p + o->start.n);
    assert_int_equal(o->whole.n, 1000);
    assert_memory_equal(o->whole.p, truth, 1000);
    assert_true(cache_body_complete(o->body) && cache_body_has(o->body, 0, 1000) && !cache_body_paged(o->body, 0));
    assert_true(o->memory >= sizeof *o + 1000 + CACHE_BODY_ROOM && o->memory < sizeof *o + 1000 + 600);
    cache_object_unref(o);
    assert_int_equal(cache_body_alive(), before);
    struct cache_object *large = object(5000, 0, 5000), *partial = object(1000, 0, 900), *empty = object(0, 0, 0);
    assert_false(large->packed || partial->packed || empty->packed);
    cache_object_unref(large);
    cache_object_unref(partial);
    cache_object_unref(empty);
    assert_int_equal(cache_body_alive(), before);
}

/* The object, its body, or what shares the bytes: whoever is last frees them. */
static void whoever_is_last_frees_a_small_body(void **state)
{
    (void)state;
    size_t before = cache_body_alive();
    for (int last = 0; last < 3; last++) {
        struct cache_object *o = object(1000, 0, 1000);
        struct cache_body *b = cache_body_ref(o->body), *shares = cache_body_new(1000);
        assert_ok(cache_body_merge(shares, b));
        if (last != 0)
            cache_object_unref(o);
        if (last != 1)
            cache_body_unref(b);
        if (last != 2)
            cache_body_unref(shares);
        assert_memory_equal(cache_body_at(last == 0 ? o->body : last == 1 ? b : shares, 10).p, truth + 10, 990);
        if (last == 0)
            cache_object_unref(o);
        else
            cache_body_unref(last == 1 ? b : shares);
        assert_int_equal(cache_body_alive(), before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_reads_back), cmocka_unit_test(never_claims_a_byte_that_it_does_not_hold),
        cmocka_unit_test(drops_what_was_read), cmocka_unit_test(small_bodies_stand_in_their_object),
        cmocka_unit_test(whoever_is_last_frees_a_small_body)};
    for (size_t i = 0; i < sizeof truth; i++)
        truth[i] = (char)(i * 31 + i / 97);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
