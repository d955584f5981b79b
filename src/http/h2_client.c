/* SPDX-License-Identifier: MIT */
/* h2_client.c -- a request over HTTP/2 (RFC 9113 section 8), seen from the client. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "http/fields.h"
#include "http/h2_session.h"
#include "http/uri.h"
#include "rt/loop.h"

enum { UPLOAD_PIECE = 64 << 10, FIELDS_MAX = 128, CONTINUE_WAIT_MS = 1000 };

struct h2_session *h2_client_find(struct client *c, struct slice key)
{
    for (struct list *l = c->h2.next; l != &c->h2; l = l->next) {
        struct h2_session *h = LIST_ENTRY(l, struct h2_session, link);
        size_t open = 0;
        for (struct list *s = h->streams.next; s != &h->streams; s = s->next)
            open++;
        if (slice_eq(h->key, key) && !h->dead && !h->going_away && nghttp2_session_check_request_allowed(h->ng) &&
            open < nghttp2_session_get_remote_settings(h->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS))
            return h;
    }
    return NULL;
}

err_t h2_client_start(struct client *c, struct slice key, struct pool_conn *conn, struct h2_session **out, tick until)
{
    return h2_session_new(c, key, conn, out, until);
}

/* ---- The request ---- */

static bool belongs_to_http1(const struct http_field *f)
{
    return f->id == F_CONNECTION || f->id == F_KEEP_ALIVE || f->id == F_PROXY_CONNECTION || f->id == F_UPGRADE ||
           f->id == F_TRANSFER_ENCODING || f->id == F_CONTENT_LENGTH || f->id == F_HOST ||
           (f->id == F_TE && !slice_eq_case(f->value, S("trailers")));
}

struct head {
    nghttp2_nv v[FIELDS_MAX];
    size_t n;
};

static err_t add(struct call *call, struct head *h, struct slice name, struct slice value)
{
    if (h->n == FIELDS_MAX)
        return fault(E_LIMIT, "more than %d request fields", FIELDS_MAX);
    char *lower = arena_new(&call->arena, name.n + 1, 1);
    if (!lower)
        return E_NO_MEMORY;
    for (size_t i = 0; i < name.n; i++)
        lower[i] = ascii_lower(name.p[i]);
    h->v[h->n++] = (nghttp2_nv){(uint8_t *)lower, (uint8_t *)(uintptr_t)(value.p ? value.p : ""), name.n, value.n,
                                NGHTTP2_NV_FLAG_NONE};
    return NULL;
}

static err_t authority(struct call *call, struct slice *out)
{
    const struct client_request *rq = call->request;
    AUTO(buf_free) struct buf b = {0};
    if (rq->fields && fields_has(rq->fields, F_HOST)) {
        *out = fields_get(rq->fields, F_HOST);
        return NULL;
    }
    struct uri u = {.host = rq->host, .ipv6 = slice_has(rq->host, ':')};
    u.port = rq->port == (rq->secure ? 443 : 80) ? 0 : rq->port;
    TRY(uri_add_authority(&b, &u));
    *out = arena_copy(&call->arena, buf_slice(&b));
    return out->p ? NULL : E_NO_MEMORY;
}

static err_t add_length(struct call *call, struct head *h)
{
    const struct client_body *body = &call->request->body;
    uint64_t n = body->read ? body->length : body->bytes.n;
    if (!body->present || n == CLIENT_UNKNOWN)
        return NULL;
    return add(call, h, S("content-length"), arena_format(&call->arena, "%llu", (unsigned long long)n));
}

static err_t make_head(struct call *call, struct head *h)
{
    const struct client_request *rq = call->request;
    struct slice host = {0};
    AUTO(buf_free) struct buf checked = {0};
    TRY(client_request_head(rq, &checked)); /* refuses what must not be sent, in the same words */
    TRY(authority(call, &host));
    TRY(add(call, h, S(":method"), rq->method));
    TRY(add(call, h, S(":scheme"), rq->secure ? S("https") : S("http")));
    TRY(add(call, h, S(":authority"), host));
    TRY(add(call, h, S(":path"), rq->target));
    for (int i = 0; rq->fields && i < rq->fields->n; i++)
        if (!belongs_to_http1(&rq->fields->v[i]))
            TRY(add(call, h, rq->fields->v[i].name, rq->fields->v[i].value));
    return add_length(call, h);
}

/* ---- Its body ---- */

/* RFC 9113 section 8.1: a second field section, without pseudo-fields. */
static err_t submit_trailers(struct h2_stream *s)
{
    struct head *h = arena_new(&s->call->arena, sizeof *h, _Alignof(struct head));
    if (!h)
        return E_NO_MEMORY;
    h->n = 0;
    for (uint16_t i = 0; i < s->trailers->n; i++)
        if (!belongs_to_http1(&s->trailers->v[i]))
            TRY(add(s->call, h, s->trailers->v[i].name, s->trailers->v[i].value));
    return nghttp2_submit_trailer(s->session->ng, s->id, h->v, h->n) ? E_NO_MEMORY : NULL;
}

static ssize_t give_body(nghttp2_session *ng, int32_t id, uint8_t *to, size_t cap, uint32_t *flags,
                         nghttp2_data_source *source, void *user)
{
    (void)ng, (void)id, (void)user;
    struct h2_stream *s = source->ptr;
    size_t n = s->piece.n < cap ? s->piece.n : cap;
    if (n)
        memcpy(to, s->piece.p, n);
    s->piece = slice_from(s->piece, n);
    if (s->piece.n == 0)
        waitq_wake(&s->drained, -1);
    if (s->piece.n == 0 && s->last_piece) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (s->trailers && !submit_trailers(s))
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM; /* the trailer section ends it */
    } else if (n == 0)
        return NGHTTP2_ERR_DEFERRED;
    return (ssize_t)n;
}

static err_t offer(struct call *call, struct slice piece, bool last)
{
    struct h2_stream *s = call->h2;
    s->piece = piece;
    s->last_piece = last;
    nghttp2_session_resume_data(s->session->ng, s->id);
    TRY(h2_session_flush(s->session, call->until));
    while (s->piece.n && !s->closed && !s->session->dead)
        TRY(waitq_wait(&s->drained, call->until));
    return s->closed || s->session->dead ? E_EOF : NULL;
}

static err_t send_reader(struct call *call, char *piece)
{
    const struct client_body *body = &call->request->body;
    for (uint64_t left = body->length;;) {
        size_t got = 0, want = left < UPLOAD_PIECE ? (size_t)left : UPLOAD_PIECE;
        call->waiting = TICK_NEVER;
        err_t e = want ? body->read(body->arg, piece, want, &got, call->until) : NULL;
        if (!e && got == 0 && left && left != CLIENT_UNKNOWN)
            e = fault(E_CHANGED, "the request body ended %llu bytes early", (unsigned long long)left);
        if (e) {
            client_upload_broke(call, e);
            return e;
        }
        call->waiting = now();
        if (got == 0) {
            const struct http_fields *f = body->trailers ? body->trailers(body->arg) : NULL;
            call->h2->trailers = f && f->n ? f : NULL;
            return offer(call, SLICE_NONE, true);
        }
        TRY(offer(call, slice_of(piece, got), false));
        left -= left == CLIENT_UNKNOWN ? 0 : got;
    }
}

static err_t wait_for_continue(struct call *call)
{
    tick until = after(CONTINUE_WAIT_MS);
    err_t e = NULL;
    while (!call->may_proceed && !call->answered && !call->h2->closed && !e)
        e = waitq_wait(&call->proceed, until < call->until ? until : call->until);
    return call->answered || e == E_CANCELED ? E_CANCELED : NULL;
}

static void upload(void *arg)
{
    struct call *call = arg;
    const struct client_request *rq = call->request;
    bool held = rq->fields && fields_has_token(rq->fields, F_EXPECT, S("100-continue"));
    char *piece = malloc(UPLOAD_PIECE);
    err_t e = piece ? NULL : E_NO_MEMORY;
    if (!e && held)
        e = wait_for_continue(call);
    if (!e)
        e = rq->body.read ? send_reader(call, piece) : offer(call, rq->body.bytes, true);
    free(piece);
    call->times.sent = client_clock(call);
    if (call->upload_error)
        waitq_wake(&call->h2->changed, -1);
}

/* ---- The response ---- */

static err_t stream_error(struct call *call)
{
    const struct h2_stream *s = call->h2;
    if (call->upload_error)
        return client_upload_error(call);
    if (s->error)
        return fault(s->error, "the response head");
    if (s->closed && s->code == NGHTTP2_REFUSED_STREAM) {
        call->untouched = true;
        return fault(E_EOF, "HTTP/2: the server did not take the request");
    }
    if (s->closed)
        return fault(E_PROTO, "HTTP/2: the server broke the stream off (%s)", nghttp2_http2_strerror(s->code));
    return fault(call->answered ? E_TRUNCATED : s->session->error, "%s", s->session->why);
}

static err_t wait_change(struct call *call, tick until)
{
    const struct h2_stream *s = call->h2;
    if (s->error || s->closed || s->session->dead || call->upload_error)
        return stream_error(call);
    return waitq_wait(&call->h2->changed, until);
}

static err_t h2_read(struct call *call, void *p, size_t cap, size_t *got, tick until)
{
    struct h2_stream *s = call->h2;
    while (s->data.n == s->taken && !s->ended)
        TRY(wait_change(call, until));
    size_t n = s->data.n - s->taken;
    n = n < cap ? n : cap;
    if (n == 0) {
        call->done = true;
        return NULL;
    }
    memcpy(p, s->data.p + s->taken, n);
    s->taken += n;
    if (s->taken == s->data.n)
        s->data.n = s->taken = 0;
    *got = n;
    if (s->session->dead)
        return NULL;
    nghttp2_session_consume(s->session->ng, s->id, n);
    return h2_session_flush(s->session, until);
}

static void h2_close(struct call *call)
{
    if (call->h2)
        h2_session_leave(call->h2);
    call->h2 = NULL;
    call->stream = NULL; /* the session's */
}

static const struct call_ops h2_ops = {h2_read, h2_close, NULL};

static err_t submit(struct call *call, struct h2_stream *s)
{
    const struct client_body *body = &call->request->body;
    struct head *h = arena_new(&call->arena, sizeof *h, _Alignof(struct head));
    nghttp2_data_provider provider = {.source.ptr = s, .read_callback = give_body};
    if (!h)
        return E_NO_MEMORY;
    h->n = 0;
    TRY(make_head(call, h));
    int32_t id = nghttp2_submit_request(s->session->ng, NULL, h->v, h->n, body->present ? &provider : NULL, s);
    if (id < 0)
        return fault(E_PROTO, "HTTP/2: %s", nghttp2_strerror(id));
    s->id = id;
    TRY(h2_session_flush(s->session, call->until));
    call->times.sent = client_clock(call);
    return body->present ? scope_spawn(&call->uploads, "upload", upload, call) : NULL;
}

static void set_length(struct call *call)
{
    uint64_t n;
    struct slice v = fields_get(&call->response.fields, F_CONTENT_LENGTH);
    bool none = call->method == M_HEAD || call->response.status == 204 || call->response.status == 304;
    call->length = none ? 0 : v.p && body_length(v, &n) ? n : CLIENT_UNKNOWN;
}

err_t h2_client_open(struct call *call, struct h2_session *h, tick until)
{
    struct h2_stream *s = calloc(1, sizeof *s);
    if (!s)
        return E_NO_MEMORY;
    *s = (struct h2_stream){.session = h, .call = call, .data = {.max = 2 * H2_STREAM_WINDOW + H2_READ}};
    waitq_init(&s->changed);
    waitq_init(&s->drained);
    list_add_last(&h->streams, &s->link);
    call->ops = &h2_ops;
    call->h2 = s;
    call->stream = h->stream;
    call->until = until;
    TRY(submit(call, s));
    while (!call->answered)
        TRY(client_wait(call, wait_change, until));
    body_settle_length(&call->response, call->method);
    set_length(call);
    return NULL;
}
