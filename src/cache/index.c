/* SPDX-License-Identifier: MIT */
#include "cache/index.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { LINE = 64, SIZE_MIN = 16 };
_Static_assert(LINE == CACHE_INDEX_GROUP * sizeof(struct cache_slot), "a group is a line");

static struct cache_slot *slots_new(size_t size)
{
    struct cache_slot *v = aligned_alloc(LINE, size * sizeof *v);
    if (v)
        memset(v, 0, size * sizeof *v);
    return v;
}

static void set(struct cache_index *x, struct cache_slot *slots, size_t size)
{
    atomic_store_explicit(&x->slots, slots, memory_order_relaxed);
    atomic_store_explicit(&x->size, size, memory_order_relaxed);
}

err_t cache_index_init(struct cache_index *x)
{
    struct cache_slot *v = slots_new(SIZE_MIN);
    set(x, v, v ? SIZE_MIN : 0);
    x->count = 0;
    return v ? NULL : E_NO_MEMORY;
}

void cache_index_done(struct cache_index *x)
{
    free(cache_index_slots(x));
    set(x, NULL, 0);
}

static void put(struct cache_slot *v, size_t size, struct cache_slot s)
{
    size_t at = cache_index_home(size, s.hash);
    while (v[at].object)
        at = (at + 1) & (size - 1);
    v[at] = s;
}

/* Failing to grow makes searches longer; what counts is that one slot stays empty. */
static bool grow(struct cache_index *x)
{
    size_t size = cache_index_size(x);
    struct cache_slot *v = cache_index_slots(x), *twice = slots_new(size * 2);
    if (!twice)
        return x->count + 1 < size;
    for (size_t i = 0; i < size; i++)
        if (v[i].object)
            put(twice, size * 2, v[i]);
    set(x, twice, size * 2);
    free(v);
    return true;
}

bool cache_index_add(struct cache_index *x, uint64_t hash, struct cache_object *o)
{
    if (x->count >= cache_index_size(x) / 4 * 3 && !grow(x))
        return false;
    put(cache_index_slots(x), cache_index_size(x), (struct cache_slot){hash, o});
    x->count++;
    return true;
}

/* What stands behind it moves up, unless its own search begins behind the hole: so searches end at an empty slot. */
void cache_index_remove(struct cache_index *x, uint64_t hash, struct cache_object *o)
{
    size_t size = cache_index_size(x), mask = size - 1;
    struct cache_slot *v = cache_index_slots(x), *s = cache_index_first(x, hash);
    while (s && s->object != o)
        s = cache_index_next(x, s);
    CHECK(s != NULL);
    size_t hole = (size_t)(s - v);
    for (size_t at = (hole + 1) & mask; v[at].object; at = (at + 1) & mask) {
        size_t home = cache_index_home(size, v[at].hash);
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            v[hole] = v[at];
            hole = at;
        }
    }
    v[hole].object = NULL;
    x->count--;
}
