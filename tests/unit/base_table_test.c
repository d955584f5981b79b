/* SPDX-License-Identifier: MIT */
#include "base/table.h"

#include "base/list.h"
#include "unit.h"

struct entry {
    struct table_link link;
    uint32_t key;
};
enum { ENTRIES = 5000 };
static struct entry entries[ENTRIES];

static uint64_t hash_of(const struct table *t, uint32_t key)
{
    return slice_hash(slice_of(&key, sizeof key), t->seed);
}

static struct entry *find(const struct table *t, uint32_t key)
{
    uint64_t h = hash_of(t, key);
    for (struct table_link *l = table_first(t, h); l; l = table_next(l, h))
        if (LIST_ENTRY(l, struct entry, link)->key == key)
            return LIST_ENTRY(l, struct entry, link);
    return NULL;
}

static void remove_even(struct table_link *l, void *t)
{
    if (LIST_ENTRY(l, struct entry, link)->key % 2 == 0)
        table_remove(t, l);
}

static void grows_finds_and_removes(void **state)
{
    (void)state;
    struct table t;
    assert_ok(table_init(&t, 4));
    for (uint32_t i = 0; i < ENTRIES; i++) {
        entries[i].key = i;
        table_add(&t, &entries[i].link, hash_of(&t, i));
    }
    assert_int_equal(t.count, ENTRIES);
    assert_true(t.size >= ENTRIES / 4); /* chains stay short */
    for (uint32_t i = 0; i < ENTRIES; i++)
        assert_ptr_equal(find(&t, i), &entries[i]);
    assert_null(find(&t, ENTRIES));
    table_each(&t, remove_even, &t);
    assert_int_equal(t.count, ENTRIES / 2);
    for (uint32_t i = 0; i < ENTRIES; i++)
        assert_ptr_equal(find(&t, i), i % 2 ? &entries[i] : NULL);
    table_done(&t);
}

static void equal_hashes(void **state)
{
    (void)state;
    struct table t;
    assert_ok(table_init(&t, 1));
    for (int i = 0; i < 3; i++)
        table_add(&t, &entries[i].link, 42);
    int n = 0;
    for (struct table_link *l = table_first(&t, 42); l; l = table_next(l, 42))
        n++;
    assert_int_equal(n, 3);
    table_remove(&t, &entries[1].link);
    for (struct table_link *l = table_first(&t, 42); l; l = table_next(l, 42))
        assert_ptr_not_equal(l, &entries[1].link);
    table_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(grows_finds_and_removes), cmocka_unit_test(equal_hashes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
