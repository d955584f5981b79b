/* SPDX-License-Identifier: MIT */
#include "tests/unit/cache_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "http/fields.h"
#include "rt/loop.h"

static err_t put(struct cache_disk *d, unsigned id, size_t size, const char *vary)
{
    struct cache_object *o = make(id, size, vary);
    struct cache_disk_write w;
    err_t e = cache_disk_begin(d, o, &w);
    e = e ? e : cache_disk_finish(&w, TICK_NEVER);
    cache_object_unref(o);
    return e;
}

static bool has(struct cache_disk *d, unsigned id, size_t size, const char *field)
{
    struct cache_object *o, *wanted = make(id, size, "");
    struct http_field v[1];
    struct http_fields request = {.v = v, .cap = 1};
    if (*field)
        assert_true(fields_push(&request, S("Foo"), slice_z(field)));
    struct cache_key key = {wanted->key, wanted->hash};
    assert_ok(cache_disk_find(d, &key, &request, &o, TICK_NEVER));
    bool same = o && o->body->length == size && o->info.lifetime == 60 && slice_eq(o->etag, S("\"e\""));
    for (uint64_t at = 0; same && at < size; at++)
        same = cache_body_at(o->body, at).p[0] == cache_body_at(wanted->body, at).p[0];
    assert_true(same || !o);
    cache_object_unref(o);
    cache_object_unref(wanted);
    return same;
}

/* The file of the only object there is. */
static void only_file(char *path, size_t cap)
{
    *path = 0;
    for (int i = 0; i < 256 && !*path; i++) {
        char sub[80];
        snprintf(sub, sizeof sub, "%s/%02x", folder, i);
        DIR *dir = opendir(sub);
        for (struct dirent *f; dir && (f = readdir(dir));)
            if (f->d_name[0] != '.')
                snprintf(path, cap, "%s/%s", sub, f->d_name);
        closedir(dir);
    }
    assert_true(*path);
}

static void survives(void *arg)
{
    (void)arg;
    struct cache_disk *d = disk_open(NULL, 10 << 20);
    assert_ok(put(d, 1, 1000, ""));
    assert_ok(put(d, 2, 700000, ""));
    assert_ok(put(d, 3, 10, "foo=a\n"));
    assert_ok(put(d, 3, 10, "foo=b\n"));
    assert_true(has(d, 1, 1000, ""));
    d = disk_open(d, 10 << 20);
    assert_true(has(d, 1, 1000, "") && has(d, 2, 700000, ""));
    assert_true(has(d, 3, 10, "a") && has(d, 3, 10, "b") && !has(d, 3, 10, "c"));
    struct cache_object *o = make(1, 10, "");
    assert_int_equal(cache_disk_purge(d, &(struct cache_key){o->key, o->hash}, false), 1);
    cache_object_unref(o);
    d = disk_open(d, 10 << 20);
    assert_false(has(d, 1, 1000, ""));
    int gone;
    assert_ok(cache_disk_purge_prefix(d, S("http://x/3"), false, &gone, TICK_NEVER));
    assert_int_equal(gone, 2);
    assert_true(has(d, 2, 700000, ""));
    assert_ok(cache_disk_purge_prefix(d, S("http://"), false, &gone, TICK_NEVER));
    cache_disk_free(d);
}

static bool is_stale(struct cache_disk *d, unsigned id, const char *field)
{
    struct cache_object *o, *wanted = make(id, 10, "");
    struct http_field v[1];
    struct http_fields request = {.v = v, .cap = 1};
    assert_true(fields_push(&request, S("Foo"), slice_z(field)));
    assert_ok(cache_disk_find(d, &(struct cache_key){wanted->key, wanted->hash}, &request, &o, TICK_NEVER));
    assert_non_null(o);
    bool stale = cache_object_info(o).flags & FRESH_INVALID;
    assert_true(cache_disk_current(d, o));
    cache_object_unref(o);
    cache_object_unref(wanted);
    return stale;
}

static void count_one(void *arg, struct cache_object *o)
{
    int *n = arg;
    *n += cache_object_info(o).flags & FRESH_INVALID ? 100 : 1;
}

static void marks_as_stale(void *arg)
{
    (void)arg;
    struct cache_disk *d = disk_open(NULL, 10 << 20);
    int n = 0;
    struct cache_object *o = make(1, 10, ""), *read = NULL;
    struct cache_key key = {o->key, o->hash};
    struct http_fields none = {0};
    assert_ok(put(d, 1, 10, "foo=a\n"));
    assert_ok(put(d, 1, 10, "foo=b\n"));
    assert_ok(put(d, 11, 10, ""));
    assert_ok(put(d, 2, 10, ""));
    assert_int_equal(cache_disk_purge(d, &key, true), 2);
    assert_int_equal(cache_disk_purge(d, &key, true), 0); /* already */
    assert_true(is_stale(d, 1, "a") && is_stale(d, 1, "b") && !is_stale(d, 11, "") && !is_stale(d, 2, ""));
    d = disk_open(d, 10 << 20);
    assert_true(is_stale(d, 1, "a") && is_stale(d, 1, "b") && !is_stale(d, 11, ""));
    assert_ok(put(d, 1, 10, "foo=a\n")); /* validated */
    assert_true(!is_stale(d, 1, "a") && is_stale(d, 1, "b"));
    assert_ok(cache_disk_each(d, &key, count_one, &n, TICK_NEVER));
    assert_int_equal(n, 101);
    assert_ok(cache_disk_purge_prefix(d, S("http://x/1"), true, &n, TICK_NEVER));
    assert_int_equal(n, 2);
    d = disk_open(d, 10 << 20);
    assert_true(is_stale(d, 1, "a") && is_stale(d, 11, "") && !is_stale(d, 2, ""));
    assert_int_equal(cache_disk_purge(d, &key, false), 2); /* hard removes what is marked, too */
    assert_false(cache_disk_may_have(d, &key));
    assert_ok(put(d, 1, 10, ""));
    assert_ok(cache_disk_find(d, &key, &none, &read, TICK_NEVER));
    cache_disk_purge(d, &key, true);
    assert_false(cache_disk_current(d, read)); /* purged between reading it and putting it elsewhere */
    atomic_store(&o->invalid, true);
    assert_err(cache_disk_begin(d, o, &(struct cache_disk_write){0}), E_LIMIT); /* purged before its write began */
    cache_object_unref(read);
    cache_object_unref(o);
    cache_disk_free(d);
}

static void canceled_write(void *arg)
{
    assert_err(cache_disk_finish(arg, TICK_NEVER), E_CANCELED);
}

/* A purge meets what has begun to be written, and what came to nothing takes no room. */
static void purges_while_it_writes(void *arg)
{
    (void)arg;
    struct cache_disk *d = disk_open(NULL, 10 << 20);
    struct cache_disk_stats s;
    struct scope scope;
    enum { N = 8 };
    struct cache_object *o[N];
    struct cache_disk_write w[N];
    int n;
    for (unsigned i = 0; i < N; i++) {
        o[i] = make(i, 10, "");
        assert_ok(cache_disk_begin(d, o[i], &w[i]));
        assert_false(has(d, i, 10, ""));
    }
    assert_int_equal(cache_disk_purge(d, &(struct cache_key){o[0]->key, o[0]->hash}, false), 1);
    assert_int_equal(cache_disk_purge(d, &(struct cache_key){o[1]->key, o[1]->hash}, true), 1);
    assert_ok(cache_disk_purge_prefix(d, S("http://x/2"), false, &n, TICK_NEVER));
    assert_int_equal(n, 1);
    assert_ok(cache_disk_purge_prefix(d, S("http://x/3"), true, &n, TICK_NEVER));
    assert_int_equal(n, 1);
    atomic_store(&o[4]->invalid, true); /* in the memory tier */
    for (unsigned i = 0; i < 6; i++)
        assert_ok(cache_disk_finish(&w[i], TICK_NEVER));
    cache_disk_abandon(&w[6]);
    scope_open(&scope);
    assert_ok(scope_spawn(&scope, "write", canceled_write, &w[7]));
    scope_cancel(&scope);
    assert_ok(scope_join(&scope, TICK_NEVER));
    for (int round = 0; round < 2; round++) {
        assert_false(has(d, 0, 10, "") || has(d, 2, 10, "") || has(d, 6, 10, "") || has(d, 7, 10, ""));
        assert_true(is_stale(d, 1, "") && is_stale(d, 3, "") && is_stale(d, 4, "") && !is_stale(d, 5, ""));
        cache_disk_stats(d, &s);
        assert_int_equal(s.objects, 4);
        assert_int_equal(s.bytes % 4, 0);
        assert_true(s.bytes / 4 == w[5].charged);
        d = disk_open(d, 10 << 20);
    }
    for (unsigned i = 0; i < N; i++)
        cache_object_unref(o[i]);
    cache_disk_free(d);
}

/* What is purged before the index knows that it is there must not appear later. */
static void purges_while_it_starts(void *arg)
{
    (void)arg;
    struct cache_disk *d = disk_open(NULL, 10 << 20);
    int n;
    struct cache_object *hard = make(1, 10, ""), *soft = make(2, 10, "");
    for (unsigned i = 1; i < 5; i++)
        assert_ok(put(d, i, 10, ""));
    cache_disk_free(d);
    assert_ok(cache_disk_new(folder, 10 << 20, &d));
    assert_int_equal(cache_disk_purge(d, &(struct cache_key){hard->key, hard->hash}, false), 1);
    assert_int_equal(cache_disk_purge(d, &(struct cache_key){soft->key, soft->hash}, true), 1);
    assert_ok(cache_disk_purge_prefix(d, S("http://x/3"), false, &n, TICK_NEVER));
    assert_int_equal(n, 1);
    assert_ok(cache_disk_load(d, TICK_NEVER));
    assert_false(has(d, 1, 10, ""));
    assert_true(is_stale(d, 2, ""));
    assert_false(has(d, 3, 10, ""));
    assert_true(has(d, 4, 10, "") && !is_stale(d, 4, ""));
    cache_object_unref(hard);
    cache_object_unref(soft);
    cache_disk_free(d);
}

static void finds_damage(void *arg)
{
    (void)arg;
    struct prng r;
    struct cache_disk *d = disk_open(NULL, 10 << 20);
    char path[512];
    prng_seed(&r, 3);
    for (int round = 0; round < 60; round++) {
        assert_ok(put(d, 9, 20000, ""));
        only_file(path, sizeof path);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        int fd = open(path, O_RDWR);
        off_t at = (off_t)prng_below(&r, (uint64_t)st.st_size);
        char c;
        if (round % 4 == 0) {
            assert_int_equal(ftruncate(fd, at), 0);
        } else {
            assert_int_equal(pread(fd, &c, 1, at), 1);
            c ^= (char)(1 << prng_below(&r, 8));
            assert_int_equal(pwrite(fd, &c, 1, at), 1);
        }
        close(fd);
        assert_false(has(d, 9, 20000, ""));
        assert_false(access(path, F_OK) == 0);
    }
    cache_disk_free(d);
}

/* What the system says that the objects take. */
static uint64_t really_used(void)
{
    uint64_t n = 0;
    for (int i = 0; i < 256; i++) {
        char path[400];
        struct stat st;
        snprintf(path, sizeof path, "%s/%02x", folder, i);
        DIR *dir = opendir(path);
        for (struct dirent *f; dir && (f = readdir(dir));) {
            snprintf(path, sizeof path, "%s/%02x/%s", folder, i, f->d_name);
            if (f->d_name[0] != '.' && stat(path, &st) == 0)
                n += (uint64_t)st.st_blocks * 512;
        }
        closedir(dir);
    }
    return n;
}

/* Opening a fifo waits for somebody to write into it: a start that read the objects would hang here. */
static void starts_without_opening(void *arg)
{
    (void)arg;
    struct cache_disk *d;
    struct cache_disk_stats s;
    char path[128];
    assert_ok(cache_disk_new(folder, 10 << 20, &d));
    snprintf(path, sizeof path, "%s/0a/0a00000000000001-0000000000000002", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(path, sizeof path, "%s/new/0000000000000001", folder); /* what a kill left half written */
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_ok(cache_disk_load(d, after(10000)));
    assert_int_equal(access(path, F_OK), -1);
    cache_disk_stats(d, &s);
    assert_int_equal(s.objects, 1);
    cache_disk_free(d);
}

static void keeps_its_limit(void *arg)
{
    (void)arg;
    struct cache_disk *d = disk_open(NULL, 1 << 20);
    struct cache_disk_stats s;
    for (unsigned i = 0; i < 400; i++) {
        assert_ok(put(d, i, 1000 + i % 9 * 2000, ""));
        cache_disk_stats(d, &s);
        assert_true(s.bytes <= 1 << 20);
        assert_true(really_used() <= (1 << 20) * 101 / 100);
    }
    assert_true(really_used() > (1 << 20) * 8 / 10);
    assert_true(s.bytes > (1 << 20) * 9 / 10);
    assert_err(put(d, 999, 1 << 20, ""), E_LIMIT);
    d = disk_open(d, 1 << 19);
    cache_disk_stats(d, &s);
    assert_true(s.bytes <= 1 << 19 && s.objects > 10);
    cache_disk_free(d);
}

static void test_survives(void **state)
{
    (void)state;
    on_a_loop(survives);
}
static void test_marks_as_stale(void **state)
{
    (void)state;
    on_a_loop(marks_as_stale);
}
static void test_purges_while_it_writes(void **state)
{
    (void)state;
    on_a_loop(purges_while_it_writes);
}
static void test_purges_while_it_starts(void **state)
{
    (void)state;
    on_a_loop(purges_while_it_starts);
}
static void test_finds_damage(void **state)
{
    (void)state;
    on_a_loop(finds_damage);
}
static void test_starts_without_opening(void **state)
{
    (void)state;
    on_a_loop(starts_without_opening);
}
static void test_keeps_its_limit(void **state)
{
    (void)state;
    on_a_loop(keeps_its_limit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_survives, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_marks_as_stale, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_purges_while_it_writes, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_purges_while_it_starts, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_finds_damage, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_starts_without_opening, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_keeps_its_limit, folder_make, folder_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
