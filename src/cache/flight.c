/* SPDX-License-Identifier: MIT */
#include "cache/flight.h"

#include <stdlib.h>

#include "base/check.h"

enum { FLIGHT_MAGIC = 0x666c6974, SHARDS = 16, CLOSINGS = 4096 };

struct flights {
    atomic_uint closings[CLOSINGS], prefix_closings;
    struct {
        pthread_mutex_t lock;
        struct table table;
    } shard[SHARDS];
};

/* One fiber that waits. The flight's lock guards `link`; `fiber` and `woken` belong to the waiter's loop. Whoever is
   last frees it: the fiber, or the note when the fiber has stopped waiting before it ran. */
struct waiter {
    struct list link;
    struct note note;
    struct loop *loop;
    struct fiber *fiber;
    bool linked, woken;
};

err_t flights_new(struct flights **out)
{
    struct flights *f = calloc(1, sizeof *f);
    if (!f)
        return E_NO_MEMORY;
    bool ok = true;
    for (int i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&f->shard[i].lock, NULL);
        ok = !table_init(&f->shard[i].table, 16) && ok;
    }
    if (!ok) {
        flights_free(f);
        return E_NO_MEMORY;
    }
    *out = f;
    return NULL;
}

void flights_free(struct flights *f)
{
    for (int i = 0; f && i < SHARDS; i++) {
        table_done(&f->shard[i].table);
        pthread_mutex_destroy(&f->shard[i].lock);
    }
    free(f);
}

static struct cache_flight *flight_new(struct flights *home, const struct cache_key *key)
{
    struct cache_flight *f = calloc(1, sizeof *f + key->text.n);
    if (!f)
        return NULL;
    f->magic = FLIGHT_MAGIC;
    atomic_init(&f->refs, 1);
    pthread_mutex_init(&f->lock, NULL);
    list_init(&f->waiters);
    list_init(&f->reading);
    f->home = home;
    memcpy(f + 1, key->text.p, key->text.n);
    f->key = (struct cache_key){slice_of(f + 1, key->text.n), key->hash};
    return f;
}

bool flight_closed(struct cache_flight *f)
{
    if (!f)
        return false;
    pthread_mutex_lock(&f->lock);
    bool closed = f->closed;
    pthread_mutex_unlock(&f->lock);
    return closed || (f->alone && flights_closings(f->home, &f->key) != f->since);
}

static unsigned place(const struct cache_key *key)
{
    return (unsigned)(key->hash % CLOSINGS);
}

unsigned flights_closings(struct flights *home, const struct cache_key *key)
{
    return atomic_load(&home->closings[place(key)]) + atomic_load(&home->prefix_closings);
}

bool flights_count_along(const struct cache_key *a, const struct cache_key *b)
{
    return place(a) == place(b);
}

static void close_one(struct table_link *l, void *arg)
{
    const struct slice *prefix = arg;
    struct cache_flight *f = LIST_ENTRY(l, struct cache_flight, link);
    if (!slice_starts(f->key.text, *prefix))
        return;
    pthread_mutex_lock(&f->lock);
    f->closed = true;
    pthread_mutex_unlock(&f->lock);
}

void flights_close(struct flights *home, const struct cache_key *key)
{
    unsigned i = (unsigned)(key->hash >> 60) % SHARDS;
    struct slice text = key->text;
    atomic_fetch_add(&home->closings[place(key)], 1);
    pthread_mutex_lock(&home->shard[i].lock);
    for (struct table_link *l = table_first(&home->shard[i].table, key->hash); l; l = table_next(l, key->hash))
        if (LIST_ENTRY(l, struct cache_flight, link)->key.text.n == text.n)
            close_one(l, &text);
    pthread_mutex_unlock(&home->shard[i].lock);
}

void flights_close_prefix(struct flights *home, struct slice prefix)
{
    atomic_fetch_add(&home->prefix_closings, 1);
    for (int i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&home->shard[i].lock);
        table_each(&home->shard[i].table, close_one, &prefix);
        pthread_mutex_unlock(&home->shard[i].lock);
    }
}

struct cache_flight *flight_alone(struct flights *home, const struct cache_key *key, unsigned since)
{
    struct cache_flight *f = flight_new(home, key);
    if (f) {
        f->alone = true;
        f->since = since;
    }
    return f;
}

struct cache_flight *flight_join(struct flights *home, const struct cache_key *key, bool *lead)
{
    *lead = true;
    unsigned i = (unsigned)(key->hash >> 60) % SHARDS;
    struct cache_flight *f = NULL;
    pthread_mutex_lock(&home->shard[i].lock);
    struct table *t = &home->shard[i].table;
    for (struct table_link *l = table_first(t, key->hash); l && !f; l = table_next(l, key->hash)) {
        struct cache_flight *c = LIST_ENTRY(l, struct cache_flight, link);
        if (slice_eq(c->key.text, key->text) && !flight_closed(c))
            f = c;
    }
    if (f) {
        atomic_fetch_add(&f->refs, 1);
        *lead = false;
    } else if ((f = flight_new(home, key))) {
        atomic_fetch_add(&f->refs, 1); /* the table's own */
        f->listed = true;
        table_add(t, &f->link, key->hash);
    }
    pthread_mutex_unlock(&home->shard[i].lock);
    return f;
}

void flight_unref(struct cache_flight *f)
{
    if (!f)
        return;
    CHECK_MAGIC(f, FLIGHT_MAGIC);
    if (atomic_fetch_sub(&f->refs, 1) != 1)
        return;
    CHECK(list_empty(&f->waiters));
    cache_object_unref(f->object);
    pthread_mutex_destroy(&f->lock);
    f->magic = 0;
    free(f);
}

void flight_unlist(struct cache_flight *f)
{
    unsigned i = (unsigned)(f->key.hash >> 60) % SHARDS;
    pthread_mutex_lock(&f->home->shard[i].lock);
    bool was = f->listed;
    if (was)
        table_remove(&f->home->shard[i].table, &f->link);
    f->listed = false;
    pthread_mutex_unlock(&f->home->shard[i].lock);
    if (was)
        flight_unref(f);
}

static void waiter_run(struct note *n)
{
    struct waiter *w = LIST_ENTRY(n, struct waiter, note);
    if (!w->fiber) {
        free(w);
        return;
    }
    w->woken = true;
    fiber_wake(w->fiber);
}

/* Under the lock: a change that everybody who waits may want to see. */
static void changed(struct cache_flight *f)
{
    f->version++;
    while (!list_empty(&f->waiters)) {
        struct waiter *w = LIST_ENTRY(f->waiters.next, struct waiter, link);
        list_remove(&w->link);
        w->linked = false;
        w->note.run = waiter_run;
        if (w->loop == loop_self())
            waiter_run(&w->note);
        else
            loop_post(w->loop, &w->note);
    }
}

err_t flight_wait(struct cache_flight *f, unsigned seen, tick until)
{
    struct waiter *w = calloc(1, sizeof *w);
    if (!w)
        return E_NO_MEMORY;
    w->loop = loop_self();
    w->fiber = fiber_self();
    pthread_mutex_lock(&f->lock);
    if (f->version != seen) {
        pthread_mutex_unlock(&f->lock);
        free(w);
        return NULL;
    }
    w->linked = true;
    list_add_last(&f->waiters, &w->link);
    pthread_mutex_unlock(&f->lock);
    err_t e = NULL;
    while (!w->woken && !e)
        e = fiber_wait("flight", until);
    if (w->woken) {
        free(w);
        return NULL;
    }
    pthread_mutex_lock(&f->lock);
    bool linked = w->linked;
    if (linked)
        list_remove(&w->link);
    pthread_mutex_unlock(&f->lock);
    w->fiber = NULL; /* the note that is on its way frees it */
    if (linked)
        free(w);
    return e;
}

void flight_publish(struct cache_flight *f, struct cache_object *o, uint16_t fwd_status)
{
    pthread_mutex_lock(&f->lock);
    f->object = cache_object_ref(o);
    f->fwd_status = fwd_status;
    f->state = FLIGHT_SHARED;
    changed(f);
    pthread_mutex_unlock(&f->lock);
}

void flight_release(struct cache_flight *f, enum flight_state state, err_t why)
{
    if (!f)
        return;
    flight_unlist(f);
    pthread_mutex_lock(&f->lock);
    f->state = state;
    f->failed = why;
    f->done = true;
    changed(f);
    pthread_mutex_unlock(&f->lock);
}

void flight_grown(struct cache_flight *f)
{
    changed(f);
}

void flight_finish(struct cache_flight *f, err_t failed)
{
    pthread_mutex_lock(&f->lock);
    f->done = true;
    f->failed = failed;
    changed(f);
    pthread_mutex_unlock(&f->lock);
}

void flight_read_open(struct cache_flight *f, struct flight_reader *r)
{
    pthread_mutex_lock(&f->lock);
    r->at = 0;
    list_add_last(&f->reading, &r->link);
    f->readers++;
    pthread_mutex_unlock(&f->lock);
}

void flight_read_close(struct cache_flight *f, struct flight_reader *r)
{
    pthread_mutex_lock(&f->lock);
    list_remove(&r->link);
    f->readers--;
    if (f->closed)
        changed(f);
    pthread_mutex_unlock(&f->lock);
}

err_t flight_read(struct cache_flight *f, struct flight_reader *r, struct slice *out, bool *end, unsigned *version)
{
    err_t e = NULL;
    pthread_mutex_lock(&f->lock);
    *out = f->object->body ? cache_body_at(f->object->body, r->at) : SLICE_NONE;
    *version = f->version;
    *end = !out->n && f->done;
    if (*end)
        e = f->failed;
    pthread_mutex_unlock(&f->lock);
    return e;
}

void flight_read_advance(struct cache_flight *f, struct flight_reader *r, size_t n)
{
    pthread_mutex_lock(&f->lock);
    r->at += n;
    if (f->closed)
        changed(f);
    pthread_mutex_unlock(&f->lock);
}
