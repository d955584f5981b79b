/* SPDX-License-Identifier: MIT */
#include "app/ping/delays.h"

#include <stdlib.h>

err_t delays_init(struct delays *d)
{
    *d = (struct delays){.heap = calloc(DELAYS_MAX, sizeof *d->heap)};
    return d->heap ? NULL : E_NO_MEMORY;
}

void delays_done(struct delays *d)
{
    for (size_t i = 0; i < d->count; i++)
        free(d->heap[i]);
    free(d->heap);
    *d = (struct delays){0};
}

static bool before(const struct delayed *a, const struct delayed *b)
{
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void put(struct delays *d, size_t place, struct delayed *e)
{
    d->heap[place] = e;
    e->place = place;
}

static void rise(struct delays *d, size_t at)
{
    for (struct delayed *e = d->heap[at]; at && before(e, d->heap[(at - 1) / 2]); at = e->place) {
        put(d, at, d->heap[(at - 1) / 2]);
        put(d, (at - 1) / 2, e);
    }
}

static void sink(struct delays *d, size_t at)
{
    for (struct delayed *e = d->heap[at];;) {
        size_t child = 2 * at + 1;
        if (child + 1 < d->count && before(d->heap[child + 1], d->heap[child]))
            child++;
        if (child >= d->count || !before(d->heap[child], e))
            return;
        put(d, at, d->heap[child]);
        put(d, at = child, e);
    }
}

static struct delayed *add(struct delays *d, const struct datagram *from, tick due)
{
    struct delayed *e = NULL;
    if (d->count < DELAYS_MAX && d->bytes + from->payload.n <= DELAYS_BYTES_MAX)
        e = malloc(sizeof *e + from->payload.n);
    if (!e) {
        d->overflowed++;
        return NULL;
    }
    *e = (struct delayed){.due = due, .order = d->order++, .datagram = *from};
    if (from->payload.n)
        memcpy(e + 1, from->payload.p, from->payload.n);
    e->datagram.payload.p = (char *)(e + 1);
    d->bytes += from->payload.n;
    put(d, d->count++, e);
    rise(d, e->place);
    return e;
}

static struct delayed *held_for(const struct delays *d, const struct addr *client)
{
    for (size_t i = 0; d->held && i < d->count; i++)
        if (d->heap[i]->held && addr_eq(&d->heap[i]->datagram.peer, client))
            return d->heap[i];
    return NULL;
}

unsigned delays_add(struct delays *d, const struct datagram *reply, tick due)
{
    struct delayed *e = add(d, reply, due), *held = e ? held_for(d, &reply->peer) : NULL;
    if (!held)
        return 0;
    held->held = false;
    d->held--;
    held->due = due;
    held->order = d->order++;
    rise(d, held->place);
    sink(d, held->place);
    return 1;
}

bool delays_hold(struct delays *d, const struct datagram *reply, tick now)
{
    if (held_for(d, &reply->peer))
        return false;
    struct delayed *e = add(d, reply, now + DELAYS_HOLD);
    if (e)
        e->held = true, d->held++;
    return true;
}

tick delays_next(const struct delays *d)
{
    return d->count ? d->heap[0]->due : TICK_NEVER;
}

struct delayed *delays_take(struct delays *d, tick now)
{
    if (!d->count || d->heap[0]->due > now)
        return NULL;
    struct delayed *e = d->heap[0];
    d->bytes -= e->datagram.payload.n;
    d->held -= e->held;
    if (--d->count) {
        put(d, 0, d->heap[d->count]);
        sink(d, 0);
    }
    return e;
}
