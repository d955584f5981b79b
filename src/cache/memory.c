/* SPDX-License-Identifier: MIT */
#include "cache/memory.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "cache/index.h"

/* 64 shards: with two dozen loops two rarely meet. A hit count of 3 is as much as S3-FIFO looks at; counting to 7 gains
   0.3 points where popularity stands still and loses 1.5 where it moves fast. The small queue has a twentieth of the
   room: on every trace of the unit test's that is better than the tenth of the paper. */
enum { SHARDS = 64, HITS_MAX = 3, SMALL_PART = 20, GHOST_MIN = 1 << 12, VARIANTS_MAX = 64, EVICT_STEP = 16 };

struct shard {
    pthread_mutex_t lock;
    struct cache_index index;
};
struct ghost {
    uint32_t print, when;
};
struct cache_memory {
    struct shard shard[SHARDS];
    pthread_mutex_t lock; /* of everything below; taken before a shard's */
    struct cache_memory_hooks hooks;
    uint64_t capacity, small_bytes, main_bytes;
    uint64_t small_count, main_count, evictions;
    struct list small, main; /* first = oldest */
    struct ghost *ghosts;
    size_t ghost_size;
    uint32_t ghost_clock;
};

static struct shard *shard_of(struct cache_memory *m, uint64_t hash)
{
    return &m->shard[hash >> 58];
}

err_t cache_memory_new(uint64_t capacity, const struct cache_memory_hooks *hooks, struct cache_memory **out)
{
    struct cache_memory *m = calloc(1, sizeof *m);
    if (!m)
        return E_NO_MEMORY;
    m->capacity = capacity;
    m->ghost_size = GHOST_MIN;
    m->ghosts = calloc(m->ghost_size, sizeof *m->ghosts);
    m->ghost_clock = 1;
    if (hooks)
        m->hooks = *hooks;
    list_init(&m->small);
    list_init(&m->main);
    pthread_mutex_init(&m->lock, NULL);
    bool ok = m->ghosts != NULL;
    for (int i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&m->shard[i].lock, NULL);
        ok = !cache_index_init(&m->shard[i].index) && ok;
    }
    if (!ok) {
        cache_memory_free(m);
        return E_NO_MEMORY;
    }
    *out = m;
    return NULL;
}

void cache_memory_free(struct cache_memory *m)
{
    if (!m)
        return;
    for (int i = 0; i < SHARDS; i++) {
        struct cache_index *x = &m->shard[i].index;
        for (size_t k = 0; k < cache_index_size(x); k++)
            cache_object_unref(cache_index_slots(x)[k].object);
        cache_index_done(x);
        pthread_mutex_destroy(&m->shard[i].lock);
    }
    pthread_mutex_destroy(&m->lock);
    free(m->ghosts);
    free(m);
}

static bool newer(const struct cache_object *a, const struct cache_object *b)
{
    return a->info.date != b->info.date ? a->info.date > b->info.date : a->info.born > b->info.born;
}

/* Bytes that are on their way from memory while something else is being done. */
static void fetch_ahead(const void *from, size_t n)
{
    enum { LINE = 64 };
    for (size_t i = 0; i < n; i += LINE)
        __builtin_prefetch((const char *)from + i);
}

enum { AHEAD_OBJECT = 512, AHEAD_BODY = 1024 }; /* with key and head; what leaves in one write with them */

void cache_memory_expect(struct cache_memory *m, const struct cache_key *key)
{
    cache_index_expect(&shard_of(m, key->hash)->index, key->hash);
}

void cache_memory_ahead(struct cache_memory *m, const struct cache_key *key)
{
    struct shard *s = shard_of(m, key->hash);
    pthread_mutex_lock(&s->lock);
    struct cache_slot *at = cache_index_first(&s->index, key->hash);
    const void *from = at ? &at->object->magic : NULL; /* an address: nothing of the object is read */
    pthread_mutex_unlock(&s->lock);
    if (from)
        fetch_ahead(from, AHEAD_OBJECT);
}

struct cache_object *cache_memory_find(struct cache_memory *m, const struct cache_key *key,
                                       const struct http_fields *request, bool *others)
{
    struct shard *s = shard_of(m, key->hash);
    struct cache_object *best = NULL;
    bool any = false;
    pthread_mutex_lock(&s->lock);
    for (struct cache_slot *at = cache_index_first(&s->index, key->hash); at; at = cache_index_next(&s->index, at)) {
        struct cache_object *o = at->object;
        if (!slice_eq(o->key, key->text))
            continue;
        any = true;
        /* Section 4.1: among several that match, one with a Vary goes before one without. */
        if ((!o->vary.n || cache_vary_matches(o->vary, request)) &&
            (!best || (!best->vary.n && o->vary.n) || (!best->vary.n == !o->vary.n && newer(o, best))))
            best = o;
    }
    if (best)
        cache_object_ref(best);
    pthread_mutex_unlock(&s->lock);
    *others = any && !best;
    if (best) {
        fetch_ahead(best->whole.p, best->whole.n < AHEAD_BODY ? best->whole.n : AHEAD_BODY);
        unsigned hits = atomic_load_explicit(&best->hits, memory_order_relaxed);
        if (hits < HITS_MAX)
            atomic_store_explicit(&best->hits, hits + 1, memory_order_relaxed);
    }
    return best;
}

int cache_memory_variants(struct cache_memory *m, const struct cache_key *key, struct cache_object **out, int max)
{
    struct shard *s = shard_of(m, key->hash);
    int n = 0;
    pthread_mutex_lock(&s->lock);
    struct cache_slot *at = cache_index_first(&s->index, key->hash);
    for (; at && n < max; at = cache_index_next(&s->index, at))
        if (slice_eq(at->object->key, key->text))
            out[n++] = cache_object_ref(at->object);
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* Ghosts: a table of fingerprints with the time they went. One is remembered for as many departures as the main
   queue has objects, which is what its queue would hold; a collision forgets the older one. */
static void ghost_grow(struct cache_memory *m)
{
    if (m->ghost_size >= 4 * (m->main_count + m->small_count))
        return;
    struct ghost *v = calloc(m->ghost_size * 4, sizeof *v);
    if (v) {
        free(m->ghosts);
        m->ghosts = v;
        m->ghost_size *= 4;
    }
}

static void ghost_add(struct cache_memory *m, uint64_t hash)
{
    ghost_grow(m);
    m->ghosts[hash & (m->ghost_size - 1)] = (struct ghost){(uint32_t)(hash >> 32) | 1, m->ghost_clock++};
}

static bool ghost_take(struct cache_memory *m, uint64_t hash)
{
    struct ghost *g = &m->ghosts[hash & (m->ghost_size - 1)];
    uint64_t memory = m->main_count > GHOST_MIN / 4 ? m->main_count : GHOST_MIN / 4;
    if (g->print != ((uint32_t)(hash >> 32) | 1) || m->ghost_clock - g->when > memory)
        return false;
    g->print = 0;
    return true;
}

static uint64_t object_hash(const struct cache_object *o)
{
    return o->hash ^ (o->vary.n ? slice_hash(o->vary, o->hash) : 0);
}

/* Queue bookkeeping, under m->lock. */
static void queue_add(struct cache_memory *m, struct cache_object *o, bool main)
{
    o->in_main = main;
    list_add_last(main ? &m->main : &m->small, &o->queue);
    *(main ? &m->main_bytes : &m->small_bytes) += o->memory;
    *(main ? &m->main_count : &m->small_count) += 1;
}

static void queue_take(struct cache_memory *m, struct cache_object *o)
{
    list_remove(&o->queue);
    *(o->in_main ? &m->main_bytes : &m->small_bytes) -= o->memory;
    *(o->in_main ? &m->main_count : &m->small_count) -= 1;
}

/* Out of the index, under m->lock; the index's reference is handed to the caller. */
static void unindex(struct cache_memory *m, struct cache_object *o)
{
    struct shard *s = shard_of(m, o->hash);
    pthread_mutex_lock(&s->lock);
    cache_index_remove(&s->index, o->hash, o);
    pthread_mutex_unlock(&s->lock);
    o->indexed = false;
    queue_take(m, o);
}

/* Takes a reference. False when there is no memory for its place: then it is not kept. */
static bool index_add(struct cache_memory *m, struct cache_object *o, bool main)
{
    struct shard *s = shard_of(m, o->hash);
    pthread_mutex_lock(&s->lock);
    o->indexed = cache_index_add(&s->index, o->hash, o);
    if (o->indexed)
        cache_object_ref(o);
    pthread_mutex_unlock(&s->lock);
    if (o->indexed)
        queue_add(m, o, main);
    return o->indexed;
}

/* The object that leaves next, taken out of the index, under m->lock; NULL when the tier is empty. */
static struct cache_object *evict_one(struct cache_memory *m)
{
    while (!list_empty(&m->small) && (m->small_bytes * SMALL_PART > m->capacity || list_empty(&m->main))) {
        struct cache_object *o = LIST_ENTRY(m->small.next, struct cache_object, queue);
        if (atomic_load_explicit(&o->hits, memory_order_relaxed) > 1) {
            queue_take(m, o);
            atomic_store_explicit(&o->hits, 0, memory_order_relaxed);
            queue_add(m, o, true);
            continue;
        }
        ghost_add(m, object_hash(o));
        unindex(m, o);
        return o;
    }
    while (!list_empty(&m->main)) {
        struct cache_object *o = LIST_ENTRY(m->main.next, struct cache_object, queue);
        unsigned hits = atomic_load_explicit(&o->hits, memory_order_relaxed);
        if (!hits) {
            unindex(m, o);
            return o;
        }
        atomic_store_explicit(&o->hits, hits - 1, memory_order_relaxed);
        list_remove(&o->queue);
        list_add_last(&m->main, &o->queue);
    }
    return NULL;
}

/* Takes m->lock with `need` bytes free. What goes goes a few at a time, so that the lock is not held for long and the
   hook is called without it. */
static void lock_with_room(struct cache_memory *m, uint64_t need)
{
    for (;;) {
        struct cache_object *gone[EVICT_STEP];
        int n = 0;
        pthread_mutex_lock(&m->lock);
        while (n < EVICT_STEP && m->small_bytes + m->main_bytes + need > m->capacity && (gone[n] = evict_one(m)))
            n++;
        if (!n)
            return;
        m->evictions += (uint64_t)n;
        pthread_mutex_unlock(&m->lock);
        for (int i = 0; i < n; i++) {
            if (m->hooks.evicted)
                m->hooks.evicted(m->hooks.arg, gone[i]);
            cache_object_unref(gone[i]);
        }
    }
}

/* The indexed object with the same key and Vary text, under m->lock. */
static struct cache_object *same(struct cache_memory *m, const struct cache_object *o)
{
    struct shard *s = shard_of(m, o->hash);
    struct cache_object *found = NULL;
    pthread_mutex_lock(&s->lock);
    struct cache_slot *at = cache_index_first(&s->index, o->hash);
    for (; at && !found; at = cache_index_next(&s->index, at))
        if (slice_eq(at->object->key, o->key) && slice_eq(at->object->vary, o->vary))
            found = at->object;
    pthread_mutex_unlock(&s->lock);
    return found;
}

/* A target with more variants than this loses its oldest: nobody fills the memory with one URL. */
static struct cache_object *surplus_variant(struct cache_memory *m, const struct cache_object *o)
{
    struct shard *s = shard_of(m, o->hash);
    struct cache_object *oldest = NULL;
    int n = 0;
    pthread_mutex_lock(&s->lock);
    for (struct cache_slot *at = cache_index_first(&s->index, o->hash); at; at = cache_index_next(&s->index, at)) {
        struct cache_object *c = at->object;
        if (slice_eq(c->key, o->key)) {
            n++;
            oldest = !oldest || newer(oldest, c) ? c : oldest;
        }
    }
    pthread_mutex_unlock(&s->lock);
    return n >= VARIANTS_MAX ? oldest : NULL;
}

bool cache_memory_put(struct cache_memory *m, struct cache_object *o)
{
    if (o->memory > m->capacity / CACHE_OBJECT_SHARE)
        return false;
    lock_with_room(m, o->memory);
    CHECK(!o->indexed);
    struct cache_object *old = same(m, o);
    bool main = old ? old->in_main : ghost_take(m, object_hash(o));
    if (!old)
        old = surplus_variant(m, o);
    if (old)
        unindex(m, old);
    bool in = index_add(m, o, main);
    pthread_mutex_unlock(&m->lock);
    cache_object_unref(old);
    return in;
}

bool cache_memory_replace(struct cache_memory *m, struct cache_object *old, struct cache_object *fresh)
{
    lock_with_room(m, fresh->memory > old->memory ? fresh->memory - old->memory : 0);
    bool there = old->indexed; /* what made room may have been this one */
    if (there) {
        bool main = old->in_main;
        unindex(m, old);
        atomic_store(&fresh->hits, atomic_load(&old->hits));
        (void)index_add(m, fresh, main);
    }
    pthread_mutex_unlock(&m->lock);
    if (there)
        cache_object_unref(old);
    return there;
}

void cache_memory_remove(struct cache_memory *m, struct cache_object *o)
{
    pthread_mutex_lock(&m->lock);
    bool there = o->indexed;
    if (there)
        unindex(m, o);
    pthread_mutex_unlock(&m->lock);
    if (there)
        cache_object_unref(o);
}

int cache_memory_purge(struct cache_memory *m, const struct cache_key *key, bool soft)
{
    struct cache_object *v[VARIANTS_MAX];
    int n = cache_memory_variants(m, key, v, VARIANTS_MAX);
    for (int i = 0; i < n; i++) {
        atomic_store(&v[i]->invalid, true);
        if (!soft)
            cache_memory_remove(m, v[i]);
        cache_object_unref(v[i]);
    }
    return n;
}

struct gather {
    struct slice prefix;
    struct cache_object *v[64];
    int n;
    bool soft;
};

static void gather(struct gather *g, const struct cache_index *x)
{
    for (size_t i = 0; i < cache_index_size(x) && g->n < (int)(sizeof g->v / sizeof g->v[0]); i++) {
        struct cache_object *o = cache_index_slots(x)[i].object;
        if (o && slice_starts(o->key, g->prefix) && !(g->soft && atomic_load(&o->invalid)))
            g->v[g->n++] = cache_object_ref(o);
    }
}

int cache_memory_purge_prefix(struct cache_memory *m, struct slice prefix, bool soft)
{
    int total = 0;
    for (int i = 0; i < SHARDS; i++) {
        struct gather g;
        do {
            g = (struct gather){.prefix = prefix, .soft = soft};
            pthread_mutex_lock(&m->shard[i].lock);
            gather(&g, &m->shard[i].index);
            pthread_mutex_unlock(&m->shard[i].lock);
            for (int k = 0; k < g.n; k++) {
                atomic_store(&g.v[k]->invalid, true);
                if (!soft)
                    cache_memory_remove(m, g.v[k]);
                cache_object_unref(g.v[k]);
            }
            total += g.n;
        } while (g.n == (int)(sizeof g.v / sizeof g.v[0]));
    }
    return total;
}

void cache_memory_stats(struct cache_memory *m, struct cache_memory_stats *out)
{
    pthread_mutex_lock(&m->lock);
    *out = (struct cache_memory_stats){.bytes = m->small_bytes + m->main_bytes,
                                       .capacity = m->capacity,
                                       .objects = m->small_count + m->main_count,
                                       .evictions = m->evictions};
    pthread_mutex_unlock(&m->lock);
}
