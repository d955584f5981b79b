/* SPDX-License-Identifier: MIT */
#include "tests/unit/cache_policies.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/list.h"

/* One object; which queue it is in is the policy's affair, 0 is none. */
struct entry {
    struct list link;
    unsigned queue, count;
};
enum { QUEUES = 5 };

struct cache {
    struct entry *v;      /* by id */
    const uint32_t *size; /* by id; NULL: 1 each */
    struct list head[QUEUES];
    size_t n[QUEUES], room, hits; /* what a queue holds is counted in sizes */
};

static struct cache cache_new(const struct trace *t, size_t room)
{
    struct cache c = {.v = calloc(t->ids, sizeof *c.v), .size = t->size, .room = room};
    CHECK(c.v);
    return c;
}

static size_t size_of(const struct cache *c, const struct entry *e)
{
    return c->size ? c->size[e - c->v] : 1;
}

static void cache_begin(struct cache *c)
{
    for (int i = 0; i < QUEUES; i++)
        list_init(&c->head[i]);
}

static struct entry *oldest(struct cache *c, unsigned queue)
{
    return LIST_ENTRY(c->head[queue].next, struct entry, link);
}

/* To the young end of a queue, out of the one it is in; queue 0 is oblivion. */
static void move(struct cache *c, struct entry *e, unsigned queue)
{
    if (e->queue) {
        list_remove(&e->link);
        c->n[e->queue] -= size_of(c, e);
    }
    e->queue = queue;
    if (queue) {
        list_add_last(&c->head[queue], &e->link);
        c->n[queue] += size_of(c, e);
    }
}

static size_t run(const struct trace *t, size_t room, bool (*ask)(struct cache *, struct entry *))
{
    struct cache c = cache_new(t, room);
    cache_begin(&c);
    for (size_t i = 0; i < t->n; i++)
        c.hits += ask(&c, &c.v[t->v[i]]);
    free(c.v);
    return c.hits;
}

static bool lru_ask(struct cache *c, struct entry *e)
{
    bool hit = e->queue;
    while (!hit && c->n[1] + size_of(c, e) > c->room)
        move(c, oldest(c, 1), 0);
    move(c, e, 1);
    return hit;
}

size_t policy_lru(const struct trace *t, size_t room)
{
    return run(t, room, lru_ask);
}

/* A queue a count would be the real thing; looking at all of a small cache is the short one. */
static bool lfu_any(struct cache *c, struct entry *e, bool remember)
{
    bool hit = e->queue;
    e->count++;
    while (!hit && c->n[1] + size_of(c, e) > c->room) {
        struct entry *least = oldest(c, 1);
        for (struct list *l = c->head[1].next; l != &c->head[1]; l = l->next)
            if (LIST_ENTRY(l, struct entry, link)->count < least->count)
                least = LIST_ENTRY(l, struct entry, link);
        least->count = remember ? least->count : 0;
        move(c, least, 0);
    }
    move(c, e, 1);
    return hit;
}

static bool lfu_ask(struct cache *c, struct entry *e)
{
    return lfu_any(c, e, false);
}

static bool lfu_ask_forever(struct cache *c, struct entry *e)
{
    return lfu_any(c, e, true);
}

size_t policy_lfu(const struct trace *t, size_t room)
{
    return run(t, room, lfu_ask);
}

size_t policy_lfu_forever(const struct trace *t, size_t room)
{
    return run(t, room, lfu_ask_forever);
}

/* ---- SIEVE ---- */

size_t policy_sieve(const struct trace *t, size_t room)
{
    struct cache c = cache_new(t, room);
    cache_begin(&c);
    struct list *hand = &c.head[1];
    for (size_t i = 0; i < t->n; i++) {
        struct entry *e = &c.v[t->v[i]];
        if (e->queue) {
            c.hits++;
            e->count = 1;
            continue;
        }
        while (c.n[1] + size_of(&c, e) > room) {
            hand = hand == &c.head[1] ? hand->next : hand;
            struct entry *at = LIST_ENTRY(hand, struct entry, link);
            hand = hand->next;
            if (!at->count)
                move(&c, at, 0);
            at->count = 0;
        }
        move(&c, e, 1);
    }
    free(c.v);
    return c.hits;
}

/* ---- S3-FIFO: a tenth for newcomers; who is asked for twice there goes on to the main queue ---- */

enum { SMALL = 1, MAIN, GHOST, OFTEN_MAX = 3 };

static void s3_from_small(struct cache *c)
{
    struct entry *e = oldest(c, SMALL);
    if (e->count > 1) {
        e->count = 0;
        move(c, e, MAIN);
        return;
    }
    move(c, e, GHOST);
    while (c->n[GHOST] > c->room * 9 / 10)
        move(c, oldest(c, GHOST), 0);
}

static void s3_from_main(struct cache *c)
{
    struct entry *e = oldest(c, MAIN);
    move(c, e, e->count ? MAIN : 0);
    e->count -= e->count > 0;
}

static bool s3_ask(struct cache *c, struct entry *e)
{
    if (e->queue == SMALL || e->queue == MAIN) {
        e->count += e->count < OFTEN_MAX;
        return true;
    }
    bool known = e->queue == GHOST;
    move(c, e, 0);
    e->count = 0;
    while (c->n[SMALL] + c->n[MAIN] + size_of(c, e) > c->room) {
        if (c->n[SMALL] >= c->room / 10 || !c->n[MAIN])
            s3_from_small(c);
        else
            s3_from_main(c);
    }
    move(c, e, known ? MAIN : SMALL);
    return false;
}

size_t policy_s3fifo(const struct trace *t, size_t room)
{
    return run(t, room, s3_ask);
}

/* ---- ARC: T1 and T2 hold, B1 and B2 remember; the target size of T1 is what it learns ---- */

enum { T1 = 1, T2, B1, B2 };

static void arc_replace(struct cache *c, size_t target, bool in_b2)
{
    bool first = c->n[T1] && (c->n[T1] > target || (in_b2 && c->n[T1] == target));
    move(c, oldest(c, first ? T1 : T2), first ? B1 : B2);
}

static void arc_miss(struct cache *c, size_t target)
{
    size_t all = c->n[T1] + c->n[T2] + c->n[B1] + c->n[B2];
    if (c->n[T1] + c->n[B1] == c->room) {
        if (c->n[T1] == c->room) {
            move(c, oldest(c, T1), 0);
            return;
        }
        move(c, oldest(c, B1), 0);
        arc_replace(c, target, false);
    } else if (all >= c->room) {
        if (all == 2 * c->room)
            move(c, oldest(c, B2), 0);
        arc_replace(c, target, false);
    }
}

static size_t at_least_one(size_t a, size_t b)
{
    return a > b ? a / b : 1;
}

size_t policy_arc(const struct trace *t, size_t room)
{
    struct cache c = cache_new(t, room);
    size_t target = 0, step;
    cache_begin(&c);
    for (size_t i = 0; i < t->n; i++) {
        struct entry *e = &c.v[t->v[i]];
        switch (e->queue) {
        case T1:
        case T2:
            c.hits++;
            break;
        case B1:
            step = at_least_one(c.n[B2], c.n[B1]);
            target = target + step < room ? target + step : room;
            arc_replace(&c, target, false);
            break;
        case B2:
            step = at_least_one(c.n[B1], c.n[B2]);
            target = target > step ? target - step : 0;
            arc_replace(&c, target, true);
            break;
        default:
            arc_miss(&c, target);
            move(&c, e, T1);
            continue;
        }
        move(&c, e, T2);
    }
    free(c.v);
    return c.hits;
}

/* ---- W-TinyLFU: who leaves the window must have been asked for more often than who would leave the main part ---- */

enum { WINDOW = 1, PROBATION, PROTECTED, COUNT_MAX = 15 };

static void tiny_admit(struct cache *c)
{
    struct entry *new = oldest(c, WINDOW);
    while (c->n[WINDOW] + c->n[PROBATION] + c->n[PROTECTED] > c->room) {
        struct entry *old = oldest(c, c->n[PROBATION] ? PROBATION : PROTECTED);
        bool better = new->count > old->count;
        move(c, better ? old : new, 0);
        if (!better)
            return;
    }
    move(c, new, PROBATION);
}

/* How many of those asked for fit, on average. */
static size_t objects_in(const struct trace *t, size_t room)
{
    size_t all = 0;
    for (size_t i = 0; i < t->n; i++)
        all += t->size ? t->size[t->v[i]] : 1;
    return room * t->n / all;
}

size_t policy_wtinylfu(const struct trace *t, size_t room)
{
    struct cache c = cache_new(t, room);
    size_t window = room / 100 ? room / 100 : 1, protected = (room - window) * 8 / 10,
           period = 10 * objects_in(t, room);
    cache_begin(&c);
    for (size_t i = 0; i < t->n; i++) {
        struct entry *e = &c.v[t->v[i]];
        e->count += e->count < COUNT_MAX;
        for (size_t k = 0; i % period == 0 && k < t->ids; k++)
            c.v[k].count /= 2;
        c.hits += e->queue != 0;
        move(&c, e, e->queue > WINDOW ? PROTECTED : WINDOW);
        while (c.n[PROTECTED] > protected)
            move(&c, oldest(&c, PROTECTED), PROBATION);
        while (c.n[WINDOW] > window)
            tiny_admit(&c);
    }
    free(c.v);
    return c.hits;
}

/* ---- Belady: what is asked for latest leaves. A heap of (when next, id); entries that no longer hold are skipped ----
 */

struct future {
    size_t when;
    uint32_t id;
};

static void heap_add(struct future *h, size_t n, struct future f)
{
    for (; n && h[(n - 1) / 2].when < f.when; n = (n - 1) / 2)
        h[n] = h[(n - 1) / 2];
    h[n] = f;
}

static struct future heap_take(struct future *h, size_t n)
{
    struct future top = h[0], last = h[n - 1];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < n - 1; at = child) {
        child += child + 1 < n - 1 && h[child + 1].when > h[child].when;
        if (h[child].when <= last.when)
            break;
        h[at] = h[child];
    }
    h[at] = last;
    return top;
}

size_t policy_belady(const struct trace *t, size_t room)
{
    size_t *next = calloc(t->n, sizeof *next), *seen = calloc(t->ids, sizeof *seen), held = 0, queued = 0, hits = 0;
    struct future *heap = calloc(t->n, sizeof *heap);
    CHECK(next && seen && heap);
    for (uint32_t id = 0; id < t->ids; id++)
        seen[id] = SIZE_MAX;
    for (size_t i = t->n; i-- > 0; seen[t->v[i]] = i)
        next[i] = seen[t->v[i]];
    for (uint32_t id = 0; id < t->ids; id++)
        seen[id] = 0; /* from here on: when what is held is asked for again; 0: not held */
    for (size_t i = 0; i < t->n; i++) {
        uint32_t id = t->v[i];
        hits += seen[id] != 0;
        held += seen[id] == 0;
        seen[id] = next[i];
        heap_add(heap, queued++, (struct future){next[i], id});
        while (held > room) {
            struct future f = heap_take(heap, queued--);
            if (seen[f.id] != f.when)
                continue;
            seen[f.id] = 0;
            held--;
        }
    }
    free(next);
    free(seen);
    free(heap);
    return hits;
}
