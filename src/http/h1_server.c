/* SPDX-License-Identifier: MIT */
/*
 * h1_server.c -- the server's side of one HTTP/1 connection: head, exchange, head, exchange ... until nothing more is
 * there, which parks it, or it has to end.
 */
#include "base/stat.h"
#include "http/access_log.h"
#include "http/h1_exchange.h"
#include "http/h1_parse.h"
#include "rt/io.h"
#include "rt/loop.h"

enum {
    READ_STEP = 4096, /* at least this much room for a read */
};
/* A refused client may still send for so long, unless it pauses for longer than that. */
static const tick LINGER_TIME = 30 * TICK_S, LINGER_PAUSE = 2 * TICK_S;

/* What the search for a head came to. */
enum found { FOUND_HEAD, FOUND_NOTHING, FOUND_END, FOUND_ERROR };

static const struct server_options *options(const struct conn *c)
{
    return &c->home->server->o;
}

/* ---- Reading heads ---- */

static err_t make_room(struct h1_work *w, const struct server_options *o)
{
    char *at;
    if (w->at) { /* what is left of pipelined requests moves to the front */
        buf_eat(&w->in, w->at);
        w->at = 0;
    }
    w->in.max = (size_t)o->max_header + READ_STEP;
    return w->in.cap - w->in.n >= READ_STEP ? NULL : buf_room(&w->in, READ_STEP, &at);
}

/* More bytes. With nothing at hand it only looks whether some are there: E_TIMEOUT means park. */
static err_t fill(struct conn *c, struct h1_work *w, tick until)
{
    size_t got = 0;
    bool idle = w->at == w->in.n;
    if (idle)
        w->at = w->in.n = 0;
    if (w->in.cap - w->in.n < READ_STEP)
        TRY(make_room(w, options(c)));
    char *at = w->in.p + w->in.n;
    size_t room = w->in.cap - w->in.n;
    if (idle && c->stream == &c->tcp.stream)
        TRY(io_read_now(c->tcp.fd, at, room, &got));
    else
        TRY(stream_read(c->stream, at, room, &got, idle ? 0 : until)); /* a time past: no waiting */
    if (got == 0)
        return E_EOF;
    stat_add(STAT_BYTES_RECEIVED, (int64_t)got);
    w->in.n += got;
    return NULL;
}

/* Empty lines between requests are no beginning of one (RFC 9112 section 2.2). */
static void skip_empty_lines(struct h1_work *w)
{
    while (w->in.n - w->at >= 2 && w->in.p[w->at] == '\r' && w->in.p[w->at + 1] == '\n')
        w->at += 2;
}

/* Slices must not move while the exchange lives: a chunked body needs its room now. */
static err_t settle(struct h1_exchange *h, struct h1_parse *p, size_t used)
{
    struct h1_work *w = h->work;
    h->head_end = w->at + used;
    if (h->framing.kind == BODY_CHUNKED && w->in.cap - h->head_end < READ_STEP) {
        char *at;
        TRY(make_room(w, options(h->conn)));
        w->in.max += READ_STEP;
        size_t behind = w->in.n - used;
        TRY(buf_room(&w->in, behind < READ_STEP ? READ_STEP : behind, &at));
        arena_rewind(&w->arena);
        TRY(h1_parse_request(p, buf_slice(&w->in), &w->arena, &h->x.request, &used));
        h->head_end = used;
    }
    w->at = h->head_end;
    return NULL;
}

static enum found find_head(struct h1_exchange *h, err_t *why)
{
    struct conn *c = h->conn;
    struct h1_work *w = h->work;
    struct h1_parse p = {
        .accept_lf = options(c)->accept_lf, .max_head = (uint32_t)options(c)->max_header, .host = &w->host};
    for (tick by = 0;;) {
        size_t used = 0;
        skip_empty_lines(w);
        if (w->at < w->in.n) {
            if (!by)
                by = (h->x.started = now()) + options(c)->header_timeout;
            *why = h1_parse_request(&p, slice_of(w->in.p + w->at, w->in.n - w->at), &w->arena, &h->x.request, &used);
            if (!*why && used)
                *why = body_of_request(&h->x.request, &h->framing);
            if (!*why && used)
                *why = settle(h, &p, used);
            if (*why || used)
                return *why ? FOUND_ERROR : FOUND_HEAD;
            arena_rewind(&w->arena);
        }
        bool begun = w->at < w->in.n;
        *why = fill(c, w, begun ? by : now() + options(c)->idle_timeout);
        if (*why == E_TIMEOUT && begun)
            *why = fault(E_REQUEST_TIMEOUT, "the head was not whole in time");
        else if (*why)
            return *why == E_TIMEOUT ? FOUND_NOTHING : *why == E_TOO_LARGE ? FOUND_ERROR : FOUND_END;
        if (*why)
            return FOUND_ERROR;
    }
}

/* ---- One exchange ---- */

static err_t check_expect(struct h1_exchange *h)
{
    const struct http_fields *f = &h->x.request.fields;
    if (!fields_has(f, F_EXPECT) || h->x.request.version < 11)
        return NULL; /* RFC 9110 section 10.1.1: ignored in HTTP/1.0 */
    struct fields_list l = {.fields = f, .id = F_EXPECT};
    struct slice e;
    while (fields_element(&l, &e))
        if (!slice_eq_case(e, S("100-continue")))
            return fault(E_EXPECTATION, "only 100-continue is known");
    h->expects = h->framing.kind != BODY_NONE;
    return NULL;
}

static err_t begin(struct h1_exchange *h)
{
    const struct server_options *o = options(h->conn);
    struct exchange *x = &h->x;
    h->keep = h1_keep_alive(x->request.version, &x->request.fields) && !o->serial;
    h->in_left = x->body_length = h->framing.length;
    x->body_done = h->framing.kind == BODY_NONE;
    if (h->framing.kind == BODY_CHUNKED) /* before anything can fail: nobody may read it uncleared */
        h->chunked = (struct chunked){.trailers = &h->raw_trailers};
    TRY(check_expect(h));
    if (h->framing.kind == BODY_LENGTH && h->framing.length > o->max_body)
        return fault(E_BODY_TOO_LARGE, "more than %llu bytes", (unsigned long long)o->max_body);
    return NULL;
}

static void count(const struct h1_exchange *h)
{
    static const enum stat_id by_class[] = {STAT_HTTP_2XX, STAT_HTTP_3XX, STAT_HTTP_4XX, STAT_HTTP_5XX};
    unsigned class = h->x.status / 100u;
    stat_add(STAT_REQUESTS, 1);
    if (class >= 2 && class <= 5)
        stat_add(by_class[class - 2], 1);
    stat_latency(now() - h->x.started);
}

static void conclude(struct h1_exchange *h, err_t failed)
{
    exchange_conclude(&h->x, failed, TICK_NEVER);
    count(h);
    if (options(h->conn)->access_log)
        access_log(options(h->conn)->access_log, options(h->conn)->format, &h->x, &h->conn->home->log_line);
}

/* Returns whether the connection may go on. */
static bool serve_one(struct h1_exchange *h)
{
    struct site_use *use = site_take(h->conn->home);
    h->x.conf = use->site->conf;
    h->x.error_page = use->site->error_page;
    h->conn->requests++;
    err_t e = begin(h);
    if (!e)
        e = use->site->handler(&h->x, use->site->conf, TICK_NEVER);
    conclude(h, e);
    site_give(use);
    return h->keep && !h->x.broken && (h->x.body_done || h1_exchange_drain(h));
}

/* A request that could not even be read: a page that says why, then the end. */
static void refuse(struct h1_exchange *h, err_t e)
{
    struct site_use *use = site_take(h->conn->home);
    struct h1_work *w = h->work;
    struct slice line = slice_of(w->in.p + w->at, w->in.n - w->at);
    line = slice_first(line, slice_find(line, '\r', 0) < 100 ? slice_find(line, '\r', 0) : 100);
    enum http_method m = h->x.request.method == M_HEAD ? M_HEAD : M_OTHER; /* which never gets content */
    h->x.request = (struct http_request){.method = m, .version = 11, .target_text = line};
    h->x.conf = use->site->conf;
    h->x.error_page = use->site->error_page;
    h->x.body_done = true;
    h->keep = false;
    conclude(h, e == E_TOO_LARGE ? E_HEADER_TOO_LARGE : e);
    site_give(use);
}

/* Half an answer to an HTTP/1.0 client, whose end only the close would tell: it must not look whole (RFC 9112 section
 * 8). */
static bool looks_whole(const struct h1_exchange *h)
{
    return h->x.broken && h->x.status && !h->chunked_out && h->out_left == UINT64_MAX && h->conn->stream;
}

/* A refused peer may still be sending; closing now would reset the connection and could destroy our answer before it
   is read (RFC 9112 section 9.6). */
static void linger(struct conn *c, struct h1_work *w)
{
    tick end = now() + LINGER_TIME;
    size_t got = 1;
    if (!c->stream || stream_finish(c->stream, now() + LINGER_PAUSE))
        return;
    while (got && now() < end && !stream_read(c->stream, w->in.p, w->in.cap, &got, now() + LINGER_PAUSE))
        continue;
}

/* A client that asked for the end has mostly said all that it will: it may be hung up on when nothing of that is
   unread. */
static bool may_hang_up(const struct h1_exchange *h)
{
    return h->x.broken || (h->x.body_done && h->work->at == h->work->in.n &&
                           fields_has_token(&h->x.request.fields, F_CONNECTION, S("close")));
}

static void set_out(struct h1_exchange *h, struct conn *c, struct h1_work *w)
{
    memset(h, 0, offsetof(struct h1_exchange, x.request));
    conn_peer(c, &h->peer);
    h->conn = c;
    h->work = w;
    h->x.ops = &h1_exchange_ops;
    h->x.arena = &w->arena;
    h->x.peer = &h->peer;
    h->x.local = &c->point->addr;
    h->x.secure = c->flags & CONN_SECURE;
}

static bool one_more(struct conn *c, struct h1_work *w, enum conn_next *next)
{
    struct h1_exchange h;
    err_t why;
    *next = CONN_CLOSE;
    set_out(&h, c, w);
    switch (find_head(&h, &why)) {
    case FOUND_NOTHING:
        *next = CONN_PARK;
        return false;
    case FOUND_END:
        return false;
    case FOUND_ERROR:
        refuse(&h, why);
        linger(c, w);
        return false;
    case FOUND_HEAD:
        break;
    }
    bool keep = serve_one(&h);
    if (looks_whole(&h))
        stream_break(c->stream);
    buf_free(&h.raw_trailers);
    if (!keep && !may_hang_up(&h))
        linger(c, w);
    arena_rewind(&w->arena);
    *next = keep ? CONN_PARK : CONN_CLOSE;
    return keep && (w->at < w->in.n || stream_pending(c->stream));
}

enum conn_next h1_serve(struct conn *c)
{
    struct h1_work *w = h1_work_take(&c->home->spare);
    enum conn_next next = CONN_CLOSE;
    if (!w)
        return CONN_CLOSE;
    while (one_more(c, w, &next) && !fiber_canceled())
        continue;
    h1_work_give(&c->home->spare, w);
    return next;
}
