/* SPDX-License-Identifier: MIT */
/*
 * origin.c -- the origins of reverse mode. Requests go round robin over those that are well. One that fails is left
 * alone for a while that doubles up to a minute. With --health PATH worker 0 asks each every interval: a bad answer
 * (none within the interval, or other than 2xx and 3xx) takes it out, two good ones in a row bring it back.
 */
#include "app/proxy/internal.h"

#include <stdlib.h>

#include "base/log.h"
#include "http/uri.h"

static const tick REST_FIRST = TICK_S, REST_MAX = 60 * TICK_S;

enum { GOOD_CHECKS = 2 };

struct origin {
    struct proxy *proxy;
    struct uri uri;
    bool secure;
    struct slice key;            /* of connections to it */
    _Atomic int64_t rests_until; /* tick */
    _Atomic int64_t rest;        /* how long the last rest was */
    atomic_bool sick;            /* said the health check */
    int good;                    /* health checks in a row; their fiber's alone */
};
struct origins {
    struct origin *v;
    int n;
    atomic_uint turn;
};

void origin_address(const struct origin *o, struct client_request *rq)
{
    rq->host = o->uri.host;
    rq->port = uri_port(&o->uri);
    rq->secure = o->secure;
    rq->key = o->key;
}

/* The same for all requests to it, unless they go through a parent. */
static err_t make_key(struct proxy *p, struct origin *o)
{
    AUTO(buf_free) struct buf b = {0};
    struct client_request rq = {0};
    if (p->o.parent)
        return NULL;
    origin_address(o, &rq);
    TRY(client_key(&rq, &b));
    o->key = arena_copy(&p->arena, buf_slice(&b));
    return o->key.p ? NULL : E_NO_MEMORY;
}

static err_t origin_make(struct proxy *p, const char *url, struct origin *o)
{
    o->proxy = p;
    TRY(uri_parse(slice_z(url), &o->uri));
    o->secure = slice_eq_case(o->uri.scheme, S("https"));
    if (!o->uri.host.n || (!o->secure && !slice_eq_case(o->uri.scheme, S("http"))))
        return fault(E_USAGE, "--origin %s: not a URL such as http://127.0.0.1:8005", url);
    return make_key(p, o);
}

err_t origins_new(struct proxy *p, struct origins **out)
{
    struct origins *o = calloc(1, sizeof *o);
    if (!o)
        return E_NO_MEMORY;
    o->v = calloc(p->o.origin_count, sizeof *o->v);
    err_t e = o->v ? NULL : E_NO_MEMORY;
    for (; !e && o->n < (int)p->o.origin_count; o->n++)
        e = origin_make(p, p->o.origins[o->n], &o->v[o->n]);
    if (e) {
        origins_free(o);
        return e;
    }
    *out = o;
    return NULL;
}

void origins_free(struct origins *o)
{
    if (o)
        free(o->v);
    free(o);
}

int origins_count(const struct origins *o)
{
    return o->n;
}

void origins_name(const struct origins *o, struct uri *u)
{
    u->host = o->v[0].uri.host;
    u->port = o->v[0].uri.port;
    u->ipv6 = o->v[0].uri.ipv6;
}

/* The next one that is well and does not rest; when there is none, the next one all the same. */
struct origin *origin_pick(struct origins *o, unsigned attempt)
{
    unsigned first = attempt ? atomic_load(&o->turn) + attempt - 1 : atomic_fetch_add(&o->turn, 1);
    for (int i = 0; i < o->n; i++) {
        struct origin *one = &o->v[(first + (unsigned)i) % (unsigned)o->n];
        if (!atomic_load(&one->sick) && atomic_load(&one->rests_until) <= now())
            return one;
    }
    return &o->v[first % (unsigned)o->n];
}

void origin_failed(struct origin *o)
{
    int64_t rest = atomic_load(&o->rest);
    rest = !rest ? REST_FIRST : rest * 2 > REST_MAX ? REST_MAX : rest * 2;
    atomic_store(&o->rest, rest);
    if (atomic_exchange(&o->rests_until, now() + rest) <= now())
        log_line(LOG_WARN, "l7 proxy: origin %.*s:%u failed", SLICE_ARG(o->uri.host), uri_port(&o->uri));
}

void origin_well(struct origin *o)
{
    atomic_store_explicit(&o->rest, 0, memory_order_relaxed);
    if (atomic_load_explicit(&o->rests_until, memory_order_relaxed))
        atomic_store_explicit(&o->rests_until, 0, memory_order_relaxed);
}

/* ---- Health checks ---- */

static bool check_once(const struct origin *o)
{
    struct proxy *p = o->proxy;
    tick by = now() + (p->o.health_interval < p->o.origin_timeout ? p->o.health_interval : p->o.origin_timeout);
    struct call c = {0};
    struct client_request r = {.method = S("GET"), .target = slice_z(p->o.health_path)};
    char sink[512];
    origin_address(o, &r);
    err_t e = client_open(&p->loops[0].direct, &r, &c, by);
    for (size_t got = 1; !e && got;)
        e = call_read(&c, sink, sizeof sink, &got, by);
    bool ok = !e && c.response.status >= 200 && c.response.status < 400;
    call_close(&c);
    fault_clear();
    return ok;
}

static void checked(struct origin *o, bool good)
{
    bool was = atomic_load(&o->sick);
    o->good = good ? o->good + 1 : 0;
    if (good && o->good < GOOD_CHECKS)
        return;
    atomic_store(&o->sick, !good);
    if (good)
        origin_well(o);
    if (was == good)
        log_line(good ? LOG_INFO : LOG_WARN, "l7 proxy: origin %.*s:%u %s", SLICE_ARG(o->uri.host), uri_port(&o->uri),
                 good ? "is well again" : "does not pass its health check");
}

static void check_run(void *arg)
{
    struct origin *o = arg;
    struct proxy_loop *l = &o->proxy->loops[0];
    do {
        loop_enter(l);
        bool good = check_once(o);
        if (!fiber_canceled())
            checked(o, good);
        loop_leave(l);
    } while (!fiber_sleep(now() + o->proxy->o.health_interval));
    fault_clear();
}

err_t origins_start(struct proxy *p, int index)
{
    if (index != 0 || !p->o.health_path)
        return NULL;
    for (int i = 0; i < p->origins->n; i++)
        TRY(scope_spawn(&p->loops[0].service, "health", check_run, &p->origins->v[i]));
    return NULL;
}
