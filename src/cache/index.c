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

err_t cache_index_init(struct cache_index *x)
{
    *x = (struct cache_index){.slots = slots_new(SIZE_MIN), .size = SIZE_MIN};
    return x->slots ? NULL : E_NO_MEMORY;
}

void cache_index_done(struct cache_index *x)
{
    free(x->slots);
    *x = (struct cache_index){0};
}

static void put(struct cache_index *x, struct cache_slot s)
{
    size_t at = cache_index_home(x, s.hash);
    while (x->slots[at].object)
        at = (at + 1) & (x->size - 1);
    x->slots[at] = s;
    x->count++;
}

/* Failing to grow makes searches longer; what counts is that one slot stays empty. */
static bool grow(struct cache_index *x)
{
    struct cache_index twice = {.slots = slots_new(x->size * 2), .size = x->size * 2};
    if (!twice.slots)
        return x->count + 1 < x->size;
    for (size_t i = 0; i < x->size; i++)
        if (x->slots[i].object)
            put(&twice, x->slots[i]);
    free(x->slots);
    *x = twice;
    return true;
}

bool cache_index_add(struct cache_index *x, uint64_t hash, struct cache_object *o)
{
    if (x->count >= x->size / 4 * 3 && !grow(x))
        return false;
    put(x, (struct cache_slot){hash, o});
    return true;
}

/* What stands behind it moves up, unless its own search begins behind the hole: so searches end at an empty slot. */
void cache_index_remove(struct cache_index *x, uint64_t hash, struct cache_object *o)
{
    size_t mask = x->size - 1;
    struct cache_slot *s = cache_index_first(x, hash);
    while (s && s->object != o)
        s = cache_index_next(x, s);
    CHECK(s != NULL);
    size_t hole = (size_t)(s - x->slots);
    for (size_t at = (hole + 1) & mask; x->slots[at].object; at = (at + 1) & mask) {
        size_t home = cache_index_home(x, x->slots[at].hash);
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            x->slots[hole] = x->slots[at];
            hole = at;
        }
    }
    x->slots[hole].object = NULL;
    x->count--;
}
