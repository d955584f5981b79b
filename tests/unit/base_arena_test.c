/* SPDX-License-Identifier: MIT */
#include "base/arena.h"

#include "unit.h"

static void aligned_and_apart(void **state)
{
    (void)state;
    struct arena a = {0};
    char *last = NULL;
    for (size_t i = 1; i < 300; i++) {
        size_t align = (size_t)1 << i % 5;
        char *p = arena_new(&a, i, align);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % align, 0);
        memset(p, (int)i, i);
        if (last)
            assert_int_equal((unsigned char)last[i - 2], (unsigned char)(i - 1)); /* its last byte is still there */
        last = p;
    }
    arena_reset(&a);
    assert_int_equal(a.used, 0);
    arena_thread_done();
}

static void copies_end_in_nul(void **state)
{
    (void)state;
    struct arena a = {0};
    struct slice s = arena_copy(&a, S("abc")), f = arena_format(&a, "%d-%s", 7, "x"), none = arena_copy(&a, SLICE_NONE);
    assert_slice(s, "abc");
    assert_int_equal(s.p[3], 0);
    assert_slice(f, "7-x");
    assert_non_null(none.p);
    assert_int_equal(none.n, 0);
    arena_reset(&a);
    arena_thread_done();
}

static void large_wishes_and_the_cap(void **state)
{
    (void)state;
    struct arena a = {.cap = 64 << 10};
    char *big = arena_new(&a, 40 << 10, 1);
    assert_non_null(big);
    memset(big, 1, 40 << 10);
    assert_null(arena_new(&a, 40 << 10, 1));
    assert_non_null(arena_new(&a, 100, 1)); /* small ones still fit */
    assert_null(arena_new(&a, SIZE_MAX - 8, 1));
    arena_reset(&a);
    assert_non_null(arena_new(&a, 40 << 10, 1)); /* and after the reset everything does */
    arena_reset(&a);
    arena_thread_done();
}

static void pieces_joined(void **state)
{
    (void)state;
    struct arena a = {0};
    struct slice all = arena_join(&a, (struct slice[]){S("/path"), S("?"), SLICE_NONE, S("q=1")}, 4);
    assert_int_equal(all.n, 9);
    assert_string_equal(all.p, "/path?q=1");
    assert_string_equal(arena_join(&a, NULL, 0).p, "");
    arena_reset(&a);
    arena_thread_done();
}

static void rewound(void **state)
{
    (void)state;
    struct arena a = {.cap = 3 * ARENA_CHUNK};
    arena_rewind(&a); /* nothing to keep yet */
    char *first = arena_new(&a, 10, 1);
    arena_rewind(&a);
    assert_ptr_equal(arena_new(&a, 10, 1), first); /* the same chunk again */
    assert_non_null(arena_new(&a, ARENA_CHUNK / 2, 1));
    assert_non_null(arena_new(&a, ARENA_CHUNK, 1));
    arena_rewind(&a); /* more than one chunk: given back */
    assert_int_equal(a.used, 0);
    for (int i = 0; i < 10; i++) { /* what is kept counts against the cap once */
        assert_non_null(arena_new(&a, 2 * ARENA_CHUNK, 1));
        arena_rewind(&a);
        assert_non_null(arena_new(&a, 1, 1));
        arena_rewind(&a);
    }
    arena_reset(&a);
    arena_thread_done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(aligned_and_apart), cmocka_unit_test(copies_end_in_nul),
                                       cmocka_unit_test(pieces_joined), cmocka_unit_test(large_wishes_and_the_cap),
                                       cmocka_unit_test(rewound)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
