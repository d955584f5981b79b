/* SPDX-License-Identifier: MIT */
/*
 * index.h -- from a key's hash to the objects that have it: open addressing, so that a look-up reads one line of the
 * index and then the object that is looked for, and no other on the way. Memory is what a hit waits for: with ten
 * thousand objects neither is in the processor's cache.
 *
 *     for (struct cache_slot *s = cache_index_first(&x, hash); s; s = cache_index_next(&x, s))
 *         if (slice_eq(s->object->key, key)) ...
 *
 * It owns neither the objects nor a lock. Only cache_index_expect may be called without one.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>

#include "base/err.h"

struct cache_object;
struct cache_slot {
    uint64_t hash;
    struct cache_object *object; /* NULL: an empty slot */
};
struct cache_index {
    struct cache_slot *_Atomic slots;
    atomic_size_t size; /* slots: a power of two, and more than there are objects */
    size_t count;       /* objects */
};

/* Slots that share a line of the processor's cache: a search begins with the first of one. */
enum { CACHE_INDEX_GROUP = 4 };

MUST err_t cache_index_init(struct cache_index *); /* E_NO_MEMORY */
void cache_index_done(struct cache_index *);
bool cache_index_add(struct cache_index *, uint64_t hash, struct cache_object *);    /* false: no memory and no room */
void cache_index_remove(struct cache_index *, uint64_t hash, struct cache_object *); /* must be in the index */

static inline struct cache_slot *cache_index_slots(const struct cache_index *x)
{
    return atomic_load_explicit(&x->slots, memory_order_relaxed);
}

static inline size_t cache_index_size(const struct cache_index *x)
{
    return atomic_load_explicit(&x->size, memory_order_relaxed);
}

/* The slot where the search for this hash begins. */
static inline size_t cache_index_home(size_t size, uint64_t hash)
{
    return hash & (size - 1) & ~(size_t)(CACHE_INDEX_GROUP - 1);
}

/* The first slot with this hash from `at` up to the next empty one. */
static inline struct cache_slot *cache_index_seek(const struct cache_index *x, size_t at, uint64_t hash)
{
    struct cache_slot *v = cache_index_slots(x);
    for (size_t mask = cache_index_size(x) - 1; v[at].object; at = (at + 1) & mask)
        if (v[at].hash == hash)
            return &v[at];
    return NULL;
}

static inline struct cache_slot *cache_index_first(const struct cache_index *x, uint64_t hash)
{
    return cache_index_seek(x, cache_index_home(cache_index_size(x), hash), hash);
}

static inline struct cache_slot *cache_index_next(const struct cache_index *x, const struct cache_slot *s)
{
    size_t at = (size_t)(s - cache_index_slots(x)) + 1;
    return cache_index_seek(x, at & (cache_index_size(x) - 1), s->hash);
}

/* Somebody is about to look for this hash: have the line fetched. While the index grows it may be a wrong one. */
static inline void cache_index_expect(const struct cache_index *x, uint64_t hash)
{
    size_t at = cache_index_home(cache_index_size(x), hash) * sizeof(struct cache_slot);
    __builtin_prefetch((const void *)((uintptr_t)cache_index_slots(x) + at));
}
