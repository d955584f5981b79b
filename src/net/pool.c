/* SPDX-License-Identifier: MIT */
#include "net/pool.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/table.h"
#include "rt/io.h"
#include "rt/loop.h"
#include "rt/park.h"
#include "rt/waitq.h"

struct origin {
    struct table_link link;
    struct pool *pool;
    unsigned open; /* connections, idle ones included */
    unsigned idle_count, waiters;
    struct list idle; /* the last used first */
    struct waitq room;
    size_t n;
    char key[];
};
struct pool {
    struct pool_options options;
    struct table origins;
    struct origin *last; /* the one asked for last, or NULL */
    struct list idle;    /* of all origins, the last used first */
    size_t idle_count;
};
struct member {
    struct pool_conn conn; /* first: callers hold a pointer to it */
    struct origin *origin;
    struct list in_origin, in_pool;
    struct parked parked;
};

err_t pool_new(const struct pool_options *options, struct pool **out)
{
    struct pool *p = calloc(1, sizeof *p);
    if (!p)
        return E_NO_MEMORY;
    p->options = *options;
    list_init(&p->idle);
    err_t e = table_init(&p->origins, 16);
    if (e)
        free(p);
    else
        *out = p;
    return e;
}

static struct origin *origin_find(struct pool *p, struct slice key, uint64_t hash)
{
    for (struct table_link *l = table_first(&p->origins, hash); l; l = table_next(l, hash)) {
        struct origin *o = LIST_ENTRY(l, struct origin, link);
        if (slice_eq(slice_of(o->key, o->n), key))
            return o;
    }
    return NULL;
}

static struct origin *origin_new(struct pool *p, struct slice key, uint64_t hash)
{
    struct origin *o = calloc(1, sizeof *o + key.n);
    if (!o)
        return NULL;
    o->pool = p;
    o->n = key.n;
    if (key.n)
        memcpy(o->key, key.p, key.n);
    list_init(&o->idle);
    waitq_init(&o->room);
    table_add(&p->origins, &o->link, hash);
    return o;
}

static struct origin *origin_get(struct pool *p, struct slice key)
{
    if (p->last && slice_eq(slice_of(p->last->key, p->last->n), key))
        return p->last; /* the same again, as mostly in front of few origins */
    uint64_t hash = slice_hash(key, p->origins.seed);
    struct origin *o = origin_find(p, key, hash);
    p->last = o ? o : origin_new(p, key, hash);
    return p->last;
}

static void origin_drop_if_unused(struct origin *o)
{
    if (o->open || o->waiters)
        return;
    table_remove(&o->pool->origins, &o->link);
    if (o->pool->last == o)
        o->pool->last = NULL;
    free(o);
}

static void leave_idle(struct member *m)
{
    park_leave(&m->parked); /* its timer stays where it is, for the next time */
    list_remove(&m->in_origin);
    list_remove(&m->in_pool);
    m->origin->idle_count--;
    m->origin->pool->idle_count--;
}

static void discard(struct member *m)
{
    struct origin *o = m->origin;
    if (m->conn.extra_free)
        m->conn.extra_free(m->conn.extra);
    stream_close(m->conn.stream);
    park_forget(&m->parked);
    free(m);
    o->open--;
    waitq_wake(&o->room, 1);
    origin_drop_if_unused(o);
}

/* The peer hung up or spoke out of turn, or it has been idle for too long: no use for it in any case. */
static void on_wake(struct parked *p, enum park_why why)
{
    (void)why;
    struct member *m = LIST_ENTRY(p, struct member, parked);
    leave_idle(m);
    discard(m);
}

static void discard_oldest(struct list *idle, size_t member_offset)
{
    struct member *m = (struct member *)((char *)idle->prev - member_offset);
    leave_idle(m);
    discard(m);
}

/* Does the kernel, asked anew, have nothing for us? */
static bool usable(const struct stream *s)
{
    return !stream_pending(s) && io_idle_and_alive(stream_fd(s));
}

/* Nothing came since the last message? Mostly known without a system call; and readiness that was left over from a read
   of exactly the bytes there were is cleared, which would end the parking at once. */
static bool quiet(const struct stream *s)
{
    char byte;
    size_t got;
    return !stream_pending(s) && io_read_now(stream_fd(s), &byte, 1, &got) == E_TIMEOUT;
}

static struct member *take_idle(struct origin *o, enum pool_want want)
{
    while (!list_empty(&o->idle)) {
        struct member *m = LIST_ENTRY(o->idle.next, struct member, in_origin);
        leave_idle(m);
        if (want == POOL_ANY || usable(m->conn.stream))
            return m;
        o->waiters++; /* keeps the origin while its connections go */
        discard(m);
        o->waiters--;
    }
    return NULL;
}

/* With no room for a fresh one, an idle one makes room. */
static bool has_room(struct origin *o)
{
    unsigned limit = o->pool->options.per_origin;
    if (limit && o->open >= limit && !list_empty(&o->idle))
        discard_oldest(&o->idle, offsetof(struct member, in_origin));
    return !limit || o->open < limit;
}

static err_t acquire(struct origin *o, enum pool_want want, struct pool_conn **out, tick until)
{
    struct member *m = NULL;
    while (!(m = want == POOL_FRESH ? NULL : take_idle(o, want)) && !has_room(o))
        TRY(waitq_wait(&o->room, until));
    if (!m) {
        if (!(m = calloc(1, sizeof *m)))
            return E_NO_MEMORY;
        m->origin = o;
        m->parked.wake = on_wake;
        o->open++;
    }
    *out = &m->conn;
    return NULL;
}

err_t pool_acquire(struct pool *p, struct slice key, enum pool_want want, struct pool_conn **out, tick until)
{
    struct origin *o = origin_get(p, key);
    if (!o)
        return E_NO_MEMORY;
    o->waiters++;
    err_t e = acquire(o, want, out, until);
    o->waiters--;
    if (e == E_TIMEOUT)
        e = fault(e, "waiting for a free connection to %.*s", SLICE_ARG(key));
    origin_drop_if_unused(o);
    return e;
}

static void keep_idle(struct member *m)
{
    struct origin *o = m->origin;
    struct pool *p = o->pool;
    list_add_first(&o->idle, &m->in_origin);
    list_add_first(&p->idle, &m->in_pool);
    o->idle_count++;
    p->idle_count++;
    m->parked.fd = stream_fd(m->conn.stream);
    m->parked.until = after(p->options.idle_ms);
    park_enter(&m->parked);
    waitq_wake(&o->room, 1);
    if (o->idle_count > p->options.idle_per_origin)
        discard_oldest(&o->idle, offsetof(struct member, in_origin));
    else if (p->idle_count > p->options.idle_total)
        discard_oldest(&p->idle, offsetof(struct member, in_pool));
}

void pool_release(struct pool_conn *c, bool keep)
{
    struct member *m = (struct member *)c;
    c->uses++;
    if (keep && c->stream && m->origin->pool->options.idle_per_origin && quiet(c->stream))
        keep_idle(m);
    else
        discard(m);
}

size_t pool_idle(const struct pool *p)
{
    return p->idle_count;
}

void pool_close_idle(struct pool *p, struct slice key)
{
    struct origin *o = key.n ? origin_find(p, key, slice_hash(key, p->origins.seed)) : NULL;
    if (key.n == 0)
        while (!list_empty(&p->idle))
            discard_oldest(&p->idle, offsetof(struct member, in_pool));
    else if (o)
        for (unsigned n = o->idle_count; n; n--) /* the origin goes with the last one */
            discard_oldest(&o->idle, offsetof(struct member, in_origin));
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    pool_close_idle(p, SLICE_NONE);
    CHECK(p->origins.count == 0);
    table_done(&p->origins);
    free(p);
}
