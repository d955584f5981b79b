/* SPDX-License-Identifier: MIT */
/* The two tiers together: what is purged while it is put away is not fresh after a restart. */
#include "app/proxy/internal.h"

#include "tests/unit/cache_world.h"

enum { DISK_LIMIT = 1 << 20, BODY = 4096 };

static struct proxy_loop here;
static struct proxy p;

enum found { NOTHING, STALE, FRESH };

static enum found on_disk(const struct cache_key *key)
{
    struct cache_object *o;
    assert_ok(cache_disk_find(p.disk, key, &(struct http_fields){0}, &o, TICK_NEVER));
    enum found f = !o ? NOTHING : cache_object_info(o).flags & FRESH_INVALID ? STALE : FRESH;
    cache_object_unref(o);
    return f;
}

static void put(struct cache_object *o)
{
    struct cache_key key = {o->key, o->hash};
    bool lead;
    struct cache_flight *f = flight_join(p.flights, &key, &lead);
    store_put(&p, f, o);
    flight_unlist(f);
    flight_unref(f);
}

static void disk_idle(void)
{
    while (here.active)
        assert_ok(fiber_yield());
}

/* Put, purge before the disk's fiber has had its turn, let it run, start again. */
static enum found put_and_purge(uint64_t memory, void (*purge)(const struct cache_key *))
{
    struct cache_object *o = make(1, BODY, "");
    struct cache_key key = {o->key, o->hash};
    assert_ok(cache_memory_new(memory, NULL, &p.memory));
    p.disk = disk_open(p.disk, DISK_LIMIT);
    put(o);
    purge(&key);
    disk_idle();
    p.disk = disk_open(p.disk, DISK_LIMIT);
    enum found found = on_disk(&key);
    cache_disk_purge(p.disk, &key, false);
    cache_memory_free(p.memory);
    cache_object_unref(o);
    return found;
}

static void no_purge(const struct cache_key *key)
{
    (void)key;
}
static void hard(const struct cache_key *key)
{
    assert_int_equal(store_purge(&p, key, false), 1);
}
static void soft(const struct cache_key *key)
{
    assert_int_equal(store_purge(&p, key, true), 1);
}
static void hard_by_prefix(const struct cache_key *key)
{
    int n;
    assert_ok(store_purge_prefix(&p, slice_first(key->text, 9), false, &n, TICK_NEVER));
    assert_int_equal(n, 1);
}
static void soft_by_prefix(const struct cache_key *key)
{
    int n;
    assert_ok(store_purge_prefix(&p, slice_first(key->text, 9), true, &n, TICK_NEVER));
    assert_int_equal(n, 1);
}

static void purges(void *arg)
{
    (void)arg;
    /* With the object in memory, and with one that is too large for it: then only the disk can know. */
    static const uint64_t memories[] = {1 << 20, BODY};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(put_and_purge(memories[i], no_purge), FRESH);
        assert_int_equal(put_and_purge(memories[i], hard), NOTHING);
        assert_int_equal(put_and_purge(memories[i], hard_by_prefix), NOTHING);
        assert_int_equal(put_and_purge(memories[i], soft), STALE);
        assert_int_equal(put_and_purge(memories[i], soft_by_prefix), STALE);
    }
    cache_disk_free(p.disk);
}

/* While room is made for it: it is in no index yet, and its flight was still open a moment before. */
static void purge_in_between(void *arg, struct cache_object *evicted)
{
    const struct cache_key *key = arg;
    (void)evicted;
    assert_int_equal(store_purge(&p, key, false), 0);
}

static void purges_while_room_is_made(void *arg)
{
    (void)arg;
    struct cache_object *o = make(1, BODY, "");
    struct cache_key key = {o->key, o->hash};
    struct cache_memory_stats s = {0};
    struct cache_memory_hooks hooks = {purge_in_between, &key};
    bool others;
    assert_ok(cache_memory_new(48 << 10, &hooks, &p.memory));
    p.disk = disk_open(p.disk, DISK_LIMIT);
    cache_memory_stats(p.memory, &s);
    for (unsigned id = 2; s.bytes + o->memory <= s.capacity; id++) {
        struct cache_object *other = make(id, BODY, "");
        put(other);
        cache_object_unref(other);
        cache_memory_stats(p.memory, &s);
    }
    put(o);
    assert_null(cache_memory_find(p.memory, &key, &(struct http_fields){0}, &others));
    assert_true(cache_object_info(o).flags & FRESH_INVALID);
    disk_idle();
    p.disk = disk_open(p.disk, DISK_LIMIT);
    assert_int_equal(on_disk(&key), NOTHING);
    cache_object_unref(o);
    cache_memory_free(p.memory);
    cache_disk_free(p.disk);
}

/* A fetch that is nobody's but its asker's is in no list: it is known by what was closed since it was asked for. */
static enum found put_alone(void (*purge)(const struct cache_key *), unsigned own)
{
    struct cache_object *o = make(1, BODY, "");
    struct cache_key key = {o->key, o->hash};
    bool others;
    unsigned since = flights_closings(p.flights, &key);
    purge(&key);
    struct cache_flight *f = flight_alone(p.flights, &key, since + own);
    store_put(&p, f, o);
    flight_unref(f);
    cache_object_unref(o);
    o = cache_memory_find(p.memory, &key, &(struct http_fields){0}, &others);
    enum found found = !o ? NOTHING : cache_object_info(o).flags & FRESH_INVALID ? STALE : FRESH;
    cache_object_unref(o);
    cache_memory_purge(p.memory, &key, false);
    return found;
}

static void hard_without_any(const struct cache_key *key)
{
    assert_int_equal(store_purge(&p, key, false), 0);
}
static void prefix_without_any(const struct cache_key *key)
{
    int n;
    assert_ok(store_purge_prefix(&p, slice_first(key->text, 9), true, &n, TICK_NEVER));
}
static void another_key(const struct cache_key *key)
{
    (void)key;
    flights_close(p.flights, &(struct cache_key){S("http://y/"), key->hash + 1});
}

static void purges_what_was_asked_alone(void *arg)
{
    (void)arg;
    assert_ok(cache_memory_new(1 << 20, NULL, &p.memory));
    assert_int_equal(put_alone(no_purge, 0), FRESH);
    assert_int_equal(put_alone(another_key, 0), FRESH);
    assert_int_equal(put_alone(hard_without_any, 0), NOTHING);
    assert_int_equal(put_alone(prefix_without_any, 0), NOTHING);
    assert_int_equal(put_alone(hard_without_any, 1), FRESH); /* by its own request */
    cache_memory_free(p.memory);
}

static void with_a_proxy(void (*fn)(void *))
{
    p = (struct proxy){.loops = &here, .workers = 1};
    assert_ok(flights_new(&p.flights));
    on_a_loop(fn);
    flights_free(p.flights);
}

static void test_purged_before_the_disk_has_its_turn(void **state)
{
    (void)state;
    with_a_proxy(purges);
}
static void test_purged_while_asked_alone(void **state)
{
    (void)state;
    with_a_proxy(purges_what_was_asked_alone);
}
static void test_purged_while_room_is_made(void **state)
{
    (void)state;
    with_a_proxy(purges_while_room_is_made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_purged_before_the_disk_has_its_turn, folder_make, folder_remove),
        cmocka_unit_test(test_purged_while_asked_alone),
        cmocka_unit_test_setup_teardown(test_purged_while_room_is_made, folder_make, folder_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
