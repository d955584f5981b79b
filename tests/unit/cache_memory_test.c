/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/random.h"
#include "cache/memory.h"

static struct cache_key key_of(uint32_t id, char text[24])
{
    struct cache_key key;
    int n = snprintf(text, 24, "http://x/%u", id);
    cache_key_of_text(&key, slice_of(text, (size_t)n));
    return key;
}

static struct cache_object *make(uint32_t id, size_t size)
{
    char text[24], *room;
    size_t cap;
    struct http_fields none = {0};
    struct cache_body *b = cache_body_new(size);
    assert_ok(cache_body_room(b, 0, size, &room, &cap));
    memset(room, 'x', cap);
    cache_body_grow(b, cap);
    struct cache_object *o = cache_object_new(
        &(struct cache_object_make){.info = {.status = 200}, .key = key_of(id, text), .fields = &none, .body = b});
    cache_body_unref(b);
    return o;
}

static bool get(struct cache_memory *m, uint32_t id)
{
    char text[24];
    struct cache_key key = key_of(id, text);
    struct http_fields none = {0};
    bool others;
    struct cache_object *o = cache_memory_find(m, &key, &none, &others);
    cache_object_unref(o);
    return o;
}

static bool put(struct cache_memory *m, uint32_t id, size_t size)
{
    struct cache_object *o = make(id, size);
    bool in = cache_memory_put(m, o);
    cache_object_unref(o);
    return in;
}

static void keeps_to_its_capacity(void **state)
{
    (void)state;
    struct cache_memory *m;
    struct cache_memory_stats s;
    assert_ok(cache_memory_new(100000, NULL, &m));
    for (uint32_t i = 0; i < 500; i++) {
        put(m, i, 100 + i % 7 * 900);
        cache_memory_stats(m, &s);
        assert_true(s.bytes <= 100000);
    }
    assert_true(s.bytes > 80000);
    assert_false(put(m, 9999, 50000)); /* more than its share */
    assert_false(get(m, 9999));
    cache_memory_free(m);
}

static void purges(void **state)
{
    (void)state;
    struct cache_memory *m;
    char text[24];
    assert_ok(cache_memory_new(10000000, NULL, &m));
    for (uint32_t i = 0; i < 300; i++)
        put(m, i, 10);
    struct cache_key key = key_of(7, text);
    assert_int_equal(cache_memory_purge(m, &key, false), 1);
    assert_false(get(m, 7));
    assert_int_equal(cache_memory_purge_prefix(m, S("http://x/1"), true), 111);
    assert_true(get(m, 1)); /* softly: still there, marked */
    assert_int_equal(cache_memory_purge_prefix(m, S("http://x/"), false), 299);
    assert_false(get(m, 1));
    cache_memory_free(m);
}

/* Beside it: a plain LRU of as many objects. */
struct lru_entry {
    struct list link;
    bool in;
};
struct lru {
    struct list order;
    struct lru_entry *v;
    size_t n, cap;
};

static bool lru_access(struct lru *l, uint32_t id)
{
    struct lru_entry *e = &l->v[id];
    bool hit = e->in;
    if (hit)
        list_remove(&e->link);
    else if (l->n == l->cap) {
        struct lru_entry *old = LIST_ENTRY(l->order.next, struct lru_entry, link);
        list_remove(&old->link);
        old->in = false;
    } else {
        l->n++;
    }
    e->in = true;
    list_add_last(&l->order, &e->link);
    return hit;
}

enum { OBJECTS = 10000, SCAN_AT = 20000, ACCESSES = 300000, SCAN = 3000, ROOM = OBJECTS / 10 };

static double *zipf_table(double skew)
{
    double *sum = malloc(OBJECTS * sizeof *sum), total = 0;
    for (int i = 0; i < OBJECTS; i++)
        sum[i] = total += 1 / pow(i + 1, skew);
    for (int i = 0; i < OBJECTS; i++)
        sum[i] /= total;
    return sum;
}

static uint32_t zipf(const double *sum, double u)
{
    uint32_t low = 0, high = OBJECTS - 1;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (sum[mid] < u)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Zipf requests, and now and then a scan over objects that nobody asks for again; a tenth of the working set fits. */
static void beats_lru_when_scans_pass(void **state)
{
    (void)state;
    struct cache_memory *m;
    struct cache_object *sample = make(0, 100);
    assert_ok(cache_memory_new(sample->memory * ROOM + ROOM * 4, NULL, &m));
    cache_object_unref(sample);
    size_t ids = OBJECTS + (size_t)(ACCESSES / SCAN_AT + 1) * SCAN;
    struct lru lru = {.v = calloc(ids, sizeof *lru.v), .cap = ROOM};
    list_init(&lru.order);
    double *sum = zipf_table(0.9);
    struct prng r;
    prng_seed(&r, 42);
    uint64_t ours = 0, theirs = 0, perfect = 0, asked = 0;
    uint32_t scan_id = OBJECTS;
    for (int i = 0; i < ACCESSES; i++) {
        bool scanning = i % SCAN_AT < SCAN && i >= SCAN_AT;
        uint32_t id = scanning ? scan_id++ : zipf(sum, prng_unit(&r));
        asked++;
        theirs += lru_access(&lru, id);
        perfect += id < ROOM; /* who knows the probabilities keeps the most popular ones */
        if (get(m, id))
            ours++;
        else
            put(m, id, 100);
    }
    printf("# hits: s3-fifo %.4f, lru %.4f, most popular kept %.4f\n", (double)ours / (double)asked,
           (double)theirs / (double)asked, (double)perfect / (double)asked);
    assert_true(ours > theirs);
    free(sum);
    free(lru.v);
    cache_memory_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(keeps_to_its_capacity), cmocka_unit_test(purges),
                                       cmocka_unit_test(beats_lru_when_scans_pass)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
