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
    struct entry *v; /* by id */
    struct list head[QUEUES];
    size_t n[QUEUES], room, hits;
};

static struct cache cache_new(const struct trace *t, size_t room)
{
    struct cache c = {.v = calloc(t->ids, sizeof *c.v), .room = room};
    CHECK(c.v);
    return c;
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
        c->n[e->queue]--;
    }
    e->queue = queue;
    if (queue) {
        list_add_last(&c->head[queue], &e->link);
        c->n[queue]++;
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
    if (!hit && c->n[1] == c->room)
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
    if (!hit && c->n[1] == c->room) {
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
        while (c.n[1] == room) {
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
    if (c->n[WINDOW] + c->n[PROBATION] + c->n[PROTECTED] <= c->room) {
        move(c, new, PROBATION);
        return;
    }
    struct entry *old = oldest(c, c->n[PROBATION] ? PROBATION : PROTECTED);
    bool better = new->count > old->count;
    move(c, better ? old : new, 0);
    if (better)
        move(c, new, PROBATION);
}

size_t policy_wtinylfu(const struct trace *t, size_t room)
{
    struct cache c = cache_new(t, room);
    size_t window = room / 100 ? room / 100 : 1, protected = (room - window) * 8 / 10;
    cache_begin(&c);
    for (size_t i = 0; i < t->n; i++) {
        struct entry *e = &c.v[t->v[i]];
        e->count += e->count < COUNT_MAX;
        for (size_t k = 0; i % (10 * room) == 0 && k < t->ids; k++)
            c.v[k].count /= 2;
        c.hits += e->queue != 0;
        move(&c, e, e->queue > WINDOW ? PROTECTED : WINDOW);
        if (c.n[PROTECTED] > protected)
            move(&c, oldest(&c, PROTECTED), PROBATION);
        if (c.n[WINDOW] > window)
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
