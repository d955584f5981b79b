/* SPDX-License-Identifier: MIT */
/*
 * index.h -- from a key's hash to the objects that have it: open addressing, so that a look-up reads one line of the
 * index and then the object that is looked for, and no other on the way. Memory is what a hit waits for: with ten
 * thousand objects neither is in the processor's cache.
 *
 *     for (struct cache_slot *s = cache_index_first(&x, hash); s; s = cache_index_next(&x, s))
 *         if (slice_eq(s->object->key, key)) ...
 *
 * It owns neither the objects nor a lock.
 */
#pragma once

#include <stddef.h>

#include "base/err.h"

struct cache_object;
struct cache_slot {
    uint64_t hash;
    struct cache_object *object; /* NULL: an empty slot */
};
struct cache_index {
    struct cache_slot *slots;
    size_t count, size; /* objects; slots, a power of two and more than there are objects */
};

/* Slots that share a line of the processor's cache: a search begins with the first of one. */
enum { CACHE_INDEX_GROUP = 4 };

MUST err_t cache_index_init(struct cache_index *); /* E_NO_MEMORY */
void cache_index_done(struct cache_index *);
bool cache_index_add(struct cache_index *, uint64_t hash, struct cache_object *);    /* false: no memory and no room */
void cache_index_remove(struct cache_index *, uint64_t hash, struct cache_object *); /* must be in the index */

/* The slot where the search for this hash begins. */
static inline size_t cache_index_home(const struct cache_index *x, uint64_t hash)
{
    return hash & (x->size - 1) & ~(size_t)(CACHE_INDEX_GROUP - 1);
}

/* The first slot with this hash from `at` up to the next empty one. */
static inline struct cache_slot *cache_index_seek(const struct cache_index *x, size_t at, uint64_t hash)
{
    for (; x->slots[at].object; at = (at + 1) & (x->size - 1))
        if (x->slots[at].hash == hash)
            return &x->slots[at];
    return NULL;
}

static inline struct cache_slot *cache_index_first(const struct cache_index *x, uint64_t hash)
{
    return cache_index_seek(x, cache_index_home(x, hash), hash);
}

static inline struct cache_slot *cache_index_next(const struct cache_index *x, const struct cache_slot *s)
{
    return cache_index_seek(x, ((size_t)(s - x->slots) + 1) & (x->size - 1), s->hash);
}
