/* SPDX-License-Identifier: MIT */
#include "cache/body.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/pages.h"

/* Each paged block may be a mapping of its own, out of 65,000 that a process may have: fibers' stacks need theirs. */
enum { BODY_MAGIC = 0x626f6479, PAGED_MAX = 16384 };

static atomic_int paged;
static atomic_size_t alive;

static void block_unref(struct cache_block *b)
{
    if (b && atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1) {
        atomic_fetch_sub_explicit(&alive, b->cap, memory_order_relaxed);
        if (b->paged) {
            pages_free(b->data, b->cap);
            atomic_fetch_sub(&paged, 1);
        }
        free(b->home);
    }
}

size_t cache_body_alive(void)
{
    return atomic_load_explicit(&alive, memory_order_relaxed);
}

struct cache_body *cache_body_new(uint64_t length)
{
    struct cache_body *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->magic = BODY_MAGIC;
    atomic_init(&b->refs, 1);
    b->length = length;
    b->v = &b->first;
    b->cap = 1;
    b->memory = sizeof *b;
    return b;
}

struct cache_body *cache_body_ref(struct cache_body *b)
{
    CHECK_MAGIC(b, BODY_MAGIC);
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

void cache_body_unref(struct cache_body *b)
{
    if (!b)
        return;
    CHECK_MAGIC(b, BODY_MAGIC);
    if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
        return;
    b->magic = 0;
    if (b->packed) {
        block_unref(b->first.block);
        return;
    }
    for (uint32_t i = 0; i < b->count; i++)
        block_unref(b->v[i].block);
    if (b->v != &b->first)
        free(b->v);
    free(b);
}

bool cache_body_packs(const struct cache_body *b)
{
    return cache_body_complete(b) && b->count == 1 && b->length <= CACHE_BODY_PACKED_MAX;
}

struct cache_body *cache_body_pack(const struct cache_body *from, char *bytes, void *room, void *home)
{
    struct cache_body *b = room;
    struct cache_block *k = (struct cache_block *)(b + 1);
    size_t n = (size_t)from->length;
    memcpy(bytes, cache_body_at(from, 0).p, n);
    *k = (struct cache_block){.n = n, .cap = n, .data = bytes, .home = home};
    *b = (struct cache_body){.magic = BODY_MAGIC, .packed = true, .length = n, .held = n, .count = 1, .cap = 1};
    atomic_init(&k->refs, 1);
    atomic_init(&b->refs, 1);
    atomic_fetch_add_explicit(&alive, n, memory_order_relaxed);
    b->memory = CACHE_BODY_ROOM + n;
    b->first = (struct cache_extent){.n = n, .block = k};
    b->v = &b->first;
    return b;
}

static err_t extent_room(struct cache_body *b)
{
    if (b->count < b->cap)
        return NULL;
    uint32_t cap = b->cap * 2 < 8 ? 8 : b->cap * 2;
    struct cache_extent *v = b->v == &b->first ? malloc(cap * sizeof *v) : realloc(b->v, cap * sizeof *v);
    if (!v)
        return E_NO_MEMORY;
    if (b->v == &b->first)
        memcpy(v, &b->first, sizeof b->first);
    b->memory += (cap - (b->v == &b->first ? 0 : b->cap)) * sizeof *v;
    b->v = v;
    b->cap = cap;
    return NULL;
}

static struct cache_block *block_new(size_t cap)
{
    char *pages = cap >= CACHE_BLOCK_PAGED && atomic_load(&paged) < PAGED_MAX ? pages_new(cap) : NULL;
    struct cache_block *k = malloc(sizeof *k + (pages ? 0 : cap));
    if (!k) {
        if (pages)
            pages_free(pages, cap);
        return NULL;
    }
    atomic_init(&k->refs, 1);
    k->n = 0;
    k->cap = cap;
    k->paged = pages != NULL;
    if (pages)
        atomic_fetch_add(&paged, 1);
    k->data = pages ? pages : (char *)(k + 1);
    k->home = k;
    atomic_fetch_add_explicit(&alive, cap, memory_order_relaxed);
    return k;
}

/* Exactly what is expected when that is known; otherwise each block doubles what came before. */
static size_t block_size(const struct cache_body *b, uint64_t hint)
{
    uint64_t size = hint ? hint : b->held;
    if (!hint && size < CACHE_BLOCK_MIN)
        size = CACHE_BLOCK_MIN;
    return size > CACHE_BLOCK_MAX ? CACHE_BLOCK_MAX : (size_t)size;
}

err_t cache_body_room(struct cache_body *b, uint64_t at, uint64_t hint, char **room, size_t *cap)
{
    struct cache_extent *last = b->count ? &b->v[b->count - 1] : NULL;
    if (!last || last->at + last->n != at || last->offset + last->n != last->block->n ||
        last->block->n == last->block->cap) {
        TRY(extent_room(b));
        struct cache_block *k = block_new(block_size(b, hint));
        if (!k)
            return E_NO_MEMORY;
        b->memory += sizeof *k + k->cap;
        last = &b->v[b->count++];
        *last = (struct cache_extent){.at = at, .block = k};
    }
    *room = last->block->data + last->block->n;
    *cap = last->block->cap - last->block->n;
    return NULL;
}

void cache_body_grow(struct cache_body *b, size_t n)
{
    struct cache_extent *last = &b->v[b->count - 1];
    CHECK(n <= last->block->cap - last->block->n);
    last->block->n += n;
    last->n += n;
    b->held += n;
}

void cache_body_trim(struct cache_body *b)
{
    if (!b->count || b->packed)
        return;
    struct cache_extent *last = &b->v[b->count - 1];
    size_t spare = last->block->cap - last->block->n;
    if (last->n == 0) {
        b->memory -= sizeof *last->block + last->block->cap;
        block_unref(last->block);
        b->count--;
    } else if (!last->block->paged && spare > last->block->cap / 8 && atomic_load(&last->block->refs) == 1) {
        struct cache_block *k = realloc(last->block, sizeof *k + last->block->n);
        if (k) {
            b->memory -= spare;
            atomic_fetch_sub_explicit(&alive, spare, memory_order_relaxed);
            k->cap = k->n;
            k->data = (char *)(k + 1);
            k->home = k;
            last->block = k;
        }
    }
}

static err_t insert(struct cache_body *b, uint32_t i, struct cache_extent e)
{
    TRY(extent_room(b));
    memmove(&b->v[i + 1], &b->v[i], (b->count - i) * sizeof b->v[0]);
    atomic_fetch_add_explicit(&e.block->refs, 1, memory_order_relaxed);
    b->v[i] = e;
    b->count++;
    b->held += e.n;
    b->memory += e.n;
    return NULL;
}

/* Put the parts of one extent that fall into holes of `b`. */
static err_t merge_extent(struct cache_body *b, struct cache_extent e)
{
    for (uint32_t i = 0; e.n && i <= b->count; i++) {
        uint64_t hole_end = i < b->count ? b->v[i].at : UINT64_MAX;
        if (e.at < hole_end) {
            struct cache_extent part = e;
            part.n = e.n < hole_end - e.at ? e.n : hole_end - e.at;
            TRY(insert(b, i, part));
            e.at += part.n, e.offset += part.n, e.n -= part.n;
            i++;
        }
        if (i < b->count && e.n) {
            uint64_t end = b->v[i].at + b->v[i].n;
            uint64_t covered = e.at < end ? end - e.at : 0;
            covered = covered < e.n ? covered : e.n;
            e.at += covered, e.offset += covered, e.n -= covered;
        }
    }
    return NULL;
}

err_t cache_body_merge(struct cache_body *to, const struct cache_body *from)
{
    for (uint32_t i = 0; i < from->count; i++)
        TRY(merge_extent(to, from->v[i]));
    return NULL;
}

/* The extent that holds `at`, or NULL. */
static const struct cache_extent *find(const struct cache_body *b, uint64_t at)
{
    uint32_t low = 0, high = b->count;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (b->v[mid].at + b->v[mid].n <= at)
            low = mid + 1;
        else
            high = mid;
    }
    return low < b->count && b->v[low].at <= at ? &b->v[low] : NULL;
}

struct slice cache_body_at(const struct cache_body *b, uint64_t at)
{
    const struct cache_extent *e = find(b, at);
    if (!e)
        return SLICE_NONE;
    return slice_of(e->block->data + e->offset + (at - e->at), (size_t)(e->n - (at - e->at)));
}

bool cache_body_paged(const struct cache_body *b, uint64_t at)
{
    const struct cache_extent *e = find(b, at);
    return e && e->block->paged;
}

bool cache_body_has(const struct cache_body *b, uint64_t from, uint64_t n)
{
    while (n) {
        struct slice s = cache_body_at(b, from);
        if (!s.n)
            return false;
        if (s.n >= n)
            return true;
        from += s.n, n -= s.n;
    }
    return true;
}

void cache_body_drop_before(struct cache_body *b, uint64_t at)
{
    uint32_t n = 0;
    while (n + 1 < b->count && b->v[n].at + b->v[n].n <= at) {
        b->memory -= sizeof *b->v[n].block + b->v[n].block->cap;
        block_unref(b->v[n++].block);
    }
    memmove(b->v, b->v + n, (b->count - n) * sizeof b->v[0]);
    b->count -= n;
}

bool cache_body_hole(const struct cache_body *b, uint64_t *from, uint64_t *n)
{
    uint64_t at = 0;
    int holes = 0;
    for (uint32_t i = 0; i <= b->count; i++) {
        uint64_t next = i < b->count ? b->v[i].at : b->length;
        if (next > at) {
            *from = at, *n = next - at;
            holes++;
        }
        at = i < b->count ? b->v[i].at + b->v[i].n : at;
    }
    return holes == 1 && b->length != CACHE_LENGTH_UNKNOWN;
}
