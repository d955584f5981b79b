/* SPDX-License-Identifier: MIT */
#include "http/client.h"

#include "base/check.h"
#include "http/client_impl.h"
#include "http/h1_parse.h"
#include "rt/loop.h"

void client_init(struct client *c)
{
    list_init(&c->h2);
    list_init(&c->dialling);
    waitq_init(&c->dialled);
    scope_open(&c->sessions);
}

/* Buffers that are needed only while bytes move: a call that waits for its answer holds none, so few serve many and
   stay in the processor's cache. Asked for anew each time, dozens at once, they would have malloc shrink and grow its
   heap. */
enum { SPARE_MAX = 32 << 10 };

void client_buf_take(struct client *c, struct buf *b)
{
    if (b->p || !c->spare_count)
        return;
    const struct buf *s = &c->spare[--c->spare_count];
    b->p = s->p;
    b->cap = s->cap;
}

void client_buf_give(struct client *c, struct buf *b)
{
    if (b->p && b->cap <= SPARE_MAX && c->spare_count < CLIENT_SPARES) {
        c->spare[c->spare_count++] = (struct buf){.p = b->p, .cap = b->cap};
        *b = (struct buf){.max = b->max};
    }
    if (b->p)
        buf_free(b);
}

void client_done(struct client *c)
{
    scope_close(&c->sessions);
    while (c->spare_count)
        buf_free(&c->spare[--c->spare_count]);
    if (c->own_pool)
        pool_free(c->pool);
    c->pool = NULL;
    tls_unref(c->tls);
    tls_unref(c->proxy_tls);
    c->tls = c->proxy_tls = NULL;
}

/* ---- Opening ---- */

static err_t pool_of(struct client *c, struct pool **out)
{
    static const struct pool_options options = {.idle_ms = 60000, .idle_per_origin = 16, .idle_total = 64};
    if (!c->pool) {
        TRY(pool_new(&options, &c->pool));
        c->own_pool = true;
    }
    *out = c->pool;
    return NULL;
}

static bool may_be_h2(const struct client *c, const struct client_request *rq)
{
    return c->version == CLIENT_HTTP2 || (c->version == CLIENT_ANY && rq->secure);
}

static err_t speaks_h2(const struct client *c, const struct client_request *rq, const struct stream *s, bool *h2)
{
    *h2 = rq->secure ? tls_alpn_of(s) == TLS_ALPN_H2 : c->version == CLIENT_HTTP2;
    if (c->version == CLIENT_HTTP2 && !*h2)
        return fault(E_UNSUPPORTED, "the server does not speak HTTP/2");
    return NULL;
}

/* A connection on its way that may become a session which others can share. */
struct dialling {
    struct list link;
    struct slice key;
};

/* When somebody is just connecting to the same place, wait for what comes of it (once). */
static err_t wait_for_session(struct client *c, struct slice key, struct h2_session **out, tick until)
{
    *out = h2_client_find(c, key);
    for (struct list *l = c->dialling.next; l != &c->dialling && !*out; l = l->next)
        if (slice_eq(LIST_ENTRY(l, struct dialling, link)->key, key)) {
            TRY(waitq_wait(&c->dialled, until));
            *out = h2_client_find(c, key);
            return NULL;
        }
    return NULL;
}

static err_t dial_new(struct client *c, const struct client_request *rq, struct call *call, tick until)
{
    struct dialling here = {.key = call->key};
    list_add_last(&c->dialling, &here.link);
    err_t e = client_dial(c, rq, call, &call->conn->stream, until);
    bool h2 = false;
    if (!e)
        e = speaks_h2(c, rq, call->conn->stream, &h2);
    struct pool_conn *conn = call->conn;
    struct h2_session *session = NULL;
    if (h2)
        call->conn = NULL;
    if (!e && h2)
        e = h2_client_start(c, call->key, conn, &session, until);
    list_remove(&here.link);
    waitq_wake(&c->dialled, -1);
    TRY(e);
    if (session)
        return h2_client_open(call, session, until);
    call->stream = call->conn->stream;
    return h1_client_open(call, until);
}

/* May the request be sent twice (RFC 9110 section 9.2.2)? */
static bool can_repeat(const struct call *call)
{
    static const unsigned idempotent =
        1u << M_GET | 1u << M_HEAD | 1u << M_PUT | 1u << M_DELETE | 1u << M_OPTIONS | 1u << M_TRACE;
    const struct client_body *body = &call->request->body;
    return (idempotent >> call->method & 1) && (!body->read || body->rewind);
}

static err_t attempt(struct client *c, const struct client_request *rq, struct call *call, bool fresh, tick until)
{
    struct pool *pool;
    struct h2_session *session = NULL;
    if (may_be_h2(c, rq) && !fresh && !rq->fresh)
        TRY(wait_for_session(c, call->key, &session, until));
    call->reused = session != NULL;
    if (session)
        return h2_client_open(call, session, until);
    TRY(pool_of(c, &pool));
    enum pool_want want = fresh || rq->fresh ? POOL_FRESH : can_repeat(call) ? POOL_ANY : POOL_PROBED;
    TRY(pool_acquire(pool, call->key, want, &call->conn, until));
    call->reused = call->conn->stream != NULL;
    if (!call->conn->stream)
        return dial_new(c, rq, call, until);
    call->stream = call->conn->stream;
    return h1_client_open(call, until);
}

/* Is the request worth sending again by itself? Only when a parked connection turned out to be dead: not a byte of an
   answer had come. */
static bool again(struct call *call, err_t e)
{
    const struct client_body *body = &call->request->body;
    bool silent = call->reused && !call->in.n && !call->answered && (e == E_EOF || e == E_RESET);
    if (!call->untouched && (!silent || !can_repeat(call)))
        return false;
    if (!body->read)
        return true;
    if (!body->rewind)
        return false;
    scope_close(&call->uploads); /* nobody may be reading while the body is wound back */
    scope_open(&call->uploads);
    return !body->rewind(body->arg);
}

void client_release(struct call *call, bool keep)
{
    if (call->conn)
        pool_release(call->conn, keep);
    call->conn = NULL;
    call->stream = NULL;
}

static void forget_attempt(struct call *call)
{
    scope_close(&call->uploads);
    scope_open(&call->uploads);
    if (call->ops)
        call->ops->close(call);
    client_release(call, false);
    call->in.n = 0;
    call->uploading = call->may_proceed = call->untouched = false;
    call->upload_error = NULL;
    call->times = (struct client_times){.start = call->times.start};
    call->retries++;
    fault_clear();
}

static err_t find_key(struct call *call)
{
    call->key = call->request->key;
    if (call->key.n)
        return NULL;
    client_buf_take(call->client, &call->out); /* the request's head will be there */
    TRY(client_key(call->request, &call->out));
    call->key = arena_copy(&call->arena, buf_slice(&call->out));
    return NULL;
}

err_t client_open(struct client *c, const struct client_request *rq, struct call *call, tick until)
{
    *call = (struct call){.client = c, .request = rq, .method = h1_method(rq->method), .length = CLIENT_UNKNOWN};
    call->times.start = client_clock(call);
    call->waiting = now();
    scope_open(&call->uploads);
    waitq_init(&call->proceed);
    TRY(find_key(call));
    err_t e = attempt(c, rq, call, false, until);
    if (e && again(call, e)) {
        forget_attempt(call);
        e = attempt(c, rq, call, true, until);
    }
    return e;
}

/* ---- Waiting for the server ---- */

static tick patience_ends(const struct call *call, tick until)
{
    int64_t ms = call->request->patience_ms;
    if (!ms)
        return until;
    tick end = (call->waiting == TICK_NEVER ? now() : call->waiting) + ms * TICK_MS;
    return end < until ? end : until;
}

err_t client_wait(struct call *call, err_t (*wait)(struct call *, tick until), tick until)
{
    for (;;) {
        tick by = patience_ends(call, until);
        err_t e = wait(call, by);
        if (e != E_TIMEOUT || by == until || patience_ends(call, until) <= now())
            return e;
    }
}

void client_upload_broke(struct call *call, err_t e)
{
    call->upload_error = e;
    call->upload_why = arena_copy(&call->arena, slice_z(fault_detail()));
}

err_t client_upload_error(const struct call *call)
{
    return fault(call->upload_error, "%.*s", SLICE_ARG(call->upload_why));
}

/* ---- Using ---- */

err_t call_read(struct call *call, void *p, size_t cap, size_t *got, tick until)
{
    *got = 0;
    if (call->done)
        return NULL;
    TRY(call->ops->read(call, p, cap, got, until));
    call->received += *got;
    if (call->done)
        call->times.done = client_clock(call);
    return NULL;
}

struct slice call_take_early(struct call *call)
{
    struct slice s = SLICE_NONE;
    if (call->done || call->h2 || call->framing.kind != BODY_LENGTH)
        return s;
    uint64_t left = call->length - call->received;
    s = slice_first(call->early, left < SIZE_MAX ? (size_t)left : SIZE_MAX);
    call->early = slice_from(call->early, s.n);
    call->received += s.n;
    call->done = s.n == left;
    if (call->done)
        call->times.done = client_clock(call);
    return s;
}

bool call_in_hand(const struct call *call)
{
    return !call->h2 && call->framing.kind == BODY_LENGTH && call->early.n >= call->length;
}

void call_close(struct call *call)
{
    if (!call->client)
        return; /* never opened, or closed already */
    scope_close(&call->uploads);
    if (call->ops)
        call->ops->close(call);
    client_release(call, false);
    client_buf_give(call->client, &call->in);
    client_buf_give(call->client, &call->out);
    buf_free(&call->raw_trailers);
    arena_reset(&call->arena);
    call->client = NULL;
}

err_t call_detach(struct call *call, struct stream **out, struct slice *early)
{
    return call->ops->detach ? call->ops->detach(call, out, early) : E_UNSUPPORTED;
}

bool call_tls_info(const struct call *call, struct tls_info *info)
{
    return call->stream && tls_info(call->stream, info);
}
