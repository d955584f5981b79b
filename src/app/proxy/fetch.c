/* SPDX-License-Identifier: MIT */
/* fetch.c -- asking the origin: the request as the cache's terms make it, and who is asked when one fails. */
#include "app/proxy/fetch.h"

#include <stdlib.h>

#include "base/stat.h"
#include "http/uri.h"

enum {
    FETCH_SPARES = 64,
    UPLOAD_KEEP = 16 << 10,
    UPLOAD_MINUTES = 60 * 24, /* a body that keeps coming is not cut short; its transport has time limits of its own */
};

/* ---- The request ---- */

struct fetch *fetch_new(struct job *j)
{
    struct proxy_loop *l = j->here;
    struct fetch *t = l->spare;
    if (t) {
        l->spare = t->next;
        l->spare_count--;
    } else if (!(t = malloc(sizeof *t))) {
        return NULL;
    }
    memset(t, 0, offsetof(struct fetch, rules));
    t->job = j;
    t->p = j->p;
    t->here = l;
    t->since = flights_closings(t->p->flights, &j->key);
    return t;
}

void fetch_free(struct fetch *t)
{
    if (!t)
        return;
    if (t->open)
        call_close(&t->call);
    cache_object_unref(t->object);
    cache_object_unref(t->partner);
    flight_unref(t->flight);
    struct proxy_loop *l = t->here;
    if (l->spare_count == FETCH_SPARES) {
        free(t);
        return;
    }
    t->next = l->spare;
    l->spare = t;
    l->spare_count++;
}

void fetch_free_spares(struct proxy_loop *l)
{
    for (struct fetch *t; (t = l->spare);) {
        l->spare = t->next;
        free(t);
    }
    l->spare_count = 0;
}

struct interim {
    struct interim *next;
    struct http_response response;
};

static void interim_send(void *arg)
{
    struct job *j = arg;
    for (struct interim *i; (i = j->interims_waiting);) {
        j->interims_waiting = i->next;
        if (!j->ex->broken && reply_interim(j->ex, &i->response, TICK_NEVER))
            fault_clear();
    }
    j->interims_running = false;
}

err_t fetch_interims_wait(struct job *j, tick until)
{
    TRY(scope_join(&j->interims, until));
    return j->ex->broken;
}

static struct interim *interim_copy(struct job *j, const struct http_response *in)
{
    struct interim *i = ARENA_NEW(j->arena, struct interim);
    struct http_fields copy = {0};
    if (!i || head_from_origin(&in->fields, in->version, NULL, j->arena, &copy) || head_own(&copy, j->arena))
        return NULL;
    struct slice reason = arena_copy(j->arena, in->reason);
    *i = (struct interim){.response = {.status = in->status, .reason = reason, .fields = copy}};
    return i;
}

/* Called by the client library between two reads; it may not wait, so a fiber of the exchange's does the sending. */
static void interim_came(void *arg, const struct http_response *in)
{
    struct job *j = arg;
    struct interim *i = j->ex && in->status != 101 ? interim_copy(j, in) : NULL, **end = &j->interims_waiting;
    if (!i)
        return;
    while (*end)
        end = &(*end)->next;
    *end = i;
    if (!j->interims_open) {
        scope_open(&j->interims);
        j->interims_open = true;
    }
    if (!j->interims_running) {
        j->interims_running = !scope_spawn(&j->interims, "interim", interim_send, j);
        fault_clear();
    }
}

/* A short body is kept, so that a request that the origin did not look at can be sent again (RFC 9113 section 8.7), and
   an idempotent one after a parked connection turned out to be dead. */
static bool upload_kept(const struct job *j)
{
    return j->ex->body_length <= UPLOAD_KEEP;
}

static err_t upload_read(void *arg, void *p, size_t cap, size_t *got, tick until)
{
    struct job *j = arg;
    size_t again = j->upload_n - j->upload_sent;
    if (again) {
        *got = again < cap ? again : cap;
        memcpy(p, j->upload + j->upload_sent, *got);
        j->upload_sent += *got;
        return NULL;
    }
    TRY(request_body(j->ex, p, cap, got, until));
    if (!*got || !upload_kept(j))
        return NULL;
    if (!j->upload && !(j->upload = arena_new(j->arena, (size_t)j->ex->body_length, 1)))
        return E_NO_MEMORY;
    memcpy(j->upload + j->upload_n, p, *got);
    j->upload_sent = j->upload_n += *got;
    return NULL;
}

static err_t upload_rewind(void *arg)
{
    struct job *j = arg;
    j->upload_sent = 0;
    return NULL;
}

/* Trailers that cannot be passed on are left out: they may be (RFC 9110 section 6.5.2). */
static const struct http_fields *upload_trailers(void *arg)
{
    struct job *j = arg;
    struct http_fields *out = j->ex->trailers.n ? ARENA_NEW(j->arena, struct http_fields) : NULL;
    if (!out)
        return NULL;
    *out = (struct http_fields){0};
    return relay_trailers(j, &j->ex->trailers, &j->in->fields, out) ? NULL : out;
}

static struct slice target_text(struct job *j)
{
    if (j->in->method == M_OPTIONS && !j->target.path.n && !j->target.has_query)
        return S("*");
    struct slice path = j->target.path.n ? j->target.path : S("/");
    return j->target.has_query ? arena_join(j->arena, (struct slice[]){path, S("?"), j->target.query}, 3) : path;
}

static err_t add_conditions(struct job *j, const struct fetch_terms *terms, struct http_fields *out)
{
    struct buf etags = {.max = 8192};
    err_t e = NULL;
    for (int i = 0; i < terms->n && !e; i++)
        if (terms->v[i]->etag.n) {
            e = etags.n ? buf_add(&etags, S(", ")) : NULL;
            e = e ? e : buf_add(&etags, terms->v[i]->etag);
        }
    struct slice list = e ? SLICE_NONE : arena_copy(j->arena, buf_slice(&etags));
    buf_free(&etags);
    if (list.n && !fields_add_id(j->arena, out, F_IF_NONE_MATCH, list))
        return E_NO_MEMORY;
    struct slice modified = terms->n == 1 ? fields_get(&terms->v[0]->fields, F_LAST_MODIFIED) : SLICE_NONE;
    return modified.n && !fields_add_id(j->arena, out, F_IF_MODIFIED_SINCE, modified) ? E_NO_MEMORY : e;
}

static err_t add_hole(struct job *j, const struct fetch_terms *terms, struct http_fields *out)
{
    const struct cache_object *o = terms->v[0];
    uint64_t end = terms->hole + terms->hole_n;
    struct slice last = end < o->body->length ? arena_format(j->arena, "%llu", (unsigned long long)end - 1) : S("");
    struct slice range = arena_format(j->arena, "bytes=%llu-%.*s", (unsigned long long)terms->hole, SLICE_ARG(last));
    bool ok = last.p && range.p && fields_add_id(j->arena, out, F_RANGE, range);
    ok = ok && (!o->etag.n || fields_add_id(j->arena, out, F_IF_RANGE, o->etag));
    return ok ? NULL : E_NO_MEMORY;
}

static err_t make_request(struct fetch *t, const struct fetch_terms *terms)
{
    struct job *j = t->job;
    bool ours = terms->n > 0;
    struct head_request h = {.in = j->in,
                             .host = j->host,
                             .keep_proxy_auth =
                                 j->p->o.parent && !proxy_logs_in(j->p) && !j->p->parent_proxy.authorization.n,
                             .drop_conditions = ours || terms->plain,
                             .drop_range = ours,
                             .upgrade = j->upgrade,
                             .expect = j->ex && j->ex->body_length && j->in->version >= 11};
    if (j->route == ROUTE_REVERSE && j->ex)
        h.forwarded = (struct head_forwarded){.on = true,
                                              .trusted = access_listed(&j->p->o.trusted, j->ex->peer),
                                              .peer = j->ex->peer,
                                              .host = j->host,
                                              .secure = j->ex->secure};
    t->fields = (struct http_fields){0};
    TRY(head_to_origin(&h, j->arena, &t->fields));
    if (terms->complete)
        TRY(add_hole(j, terms, &t->fields));
    else if (ours)
        TRY(add_conditions(j, terms, &t->fields));
    bool uploads = j->ex && j->ex->body_length;
    t->request = (struct client_request){.method = j->in->method_text,
                                         .secure = j->secure,
                                         .host = j->target.host,
                                         .port = uri_port(&j->target),
                                         .target = target_text(j),
                                         .fields = &t->fields,
                                         .patience_ms = uploads ? j->p->o.origin_timeout / TICK_MS : 0,
                                         .interim = interim_came,
                                         .arg = j};
    if (j->ex && (uploads || fields_has(&j->in->fields, F_CONTENT_LENGTH)))
        t->request.body = (struct client_body){.read = upload_read,
                                               .rewind = upload_kept(j) ? upload_rewind : NULL,
                                               .arg = j,
                                               .length = j->ex->body_length,
                                               .present = true,
                                               .trailers = upload_trailers};
    if (j->p->o.parent)
        t->request.proxy = &j->p->parent_proxy;
    return t->request.target.p ? NULL : E_NO_MEMORY;
}

/* A 101 is for those who asked, and to what they asked for (RFC 9110 section 7.8). */
static err_t check_switch(const struct job *j, const struct http_response *r)
{
    if (r->status == 101 && !(j->upgrade && head_upgrade_fits(j->in, &r->fields)))
        return fault(E_PROTO, "101 (Switching Protocols) to what nobody asked for");
    return NULL;
}

static err_t open_call(struct fetch *t, struct client *client)
{
    bool uploads = t->request.body.present && t->request.body.length;
    t->open = true;
    t->request_ns = wall_now();
    t->job->upload_sent = 0;
    err_t e = client_open(t->job->upgrade ? &t->here->http1 : client, &t->request, &t->call,
                          uploads ? after(UPLOAD_MINUTES * 60000) : origin_until(t->job));
    e = e ? e : check_switch(t->job, &t->call.response);
    t->response_ns = wall_now();
    if (e) {
        call_close(&t->call);
        t->open = false;
    }
    return e;
}

/* No connection came about: nothing of the request has left, whatever its method. */
static bool unsent(const struct call *c, bool secure)
{
    return !c->reused && !(secure ? c->times.secured : c->times.connected);
}

/* Reverse mode: the next origin is tried only when the first has seen nothing of the request that matters. */
static bool worth_another(const struct fetch *t, err_t e)
{
    const struct job *j = t->job;
    if (e == E_CANCELED || e->kind == ERR_LOCAL || e == t->call.upload_error)
        return false;
    if (j->ex && j->ex->received && !upload_kept(j))
        return false;
    return unsent(&t->call, t->request.secure) || fresh_method_safe(j->in->method);
}

static err_t ask_origins(struct fetch *t)
{
    err_t e = E_UNREACHABLE;
    int n = origins_count(t->p->origins);
    for (int attempt = 0; attempt < n; attempt++) {
        struct origin *o = origin_pick(t->p->origins, (unsigned)attempt);
        origin_address(o, &t->request);
        e = open_call(t, &t->here->direct);
        if (!e) {
            origin_well(o);
            return NULL;
        }
        if (e != E_CANCELED && e != t->call.upload_error) /* a client that breaks off is not the origin's fault */
            origin_failed(o);
        if (!worth_another(t, e))
            return e;
    }
    return e;
}

err_t fetch_ask(struct fetch *t, const struct fetch_terms *terms, tick until)
{
    (void)until; /* the origin's time is bounded by --origin-timeout */
    TRY(make_request(t, terms));
    stat_add(STAT_CACHE_FETCHES, 1);
    if (t->p->origins)
        return ask_origins(t);
    return open_call(t, t->p->o.parent ? &t->here->direct : &t->here->guarded);
}
