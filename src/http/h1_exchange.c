/* SPDX-License-Identifier: MIT */
#include "http/h1_exchange.h"

#include "base/stat.h"
#include "http/date.h"
#include "http/h1_format.h"
#include "http/h1_parse.h"
#include "http/status.h"
#include "rt/io.h"
#include "rt/loop.h"

enum { PIECE_MIN = 256 << 10, PIECE_MAX = 4 << 20 };

static struct h1_exchange *of(struct exchange *x)
{
    return LIST_ENTRY(x, struct h1_exchange, x);
}

/* The peer must make progress within the body timeout, whatever the caller allows. */
static tick progress_by(const struct h1_exchange *h, tick until)
{
    tick limit = now() + h->conn->home->server->o.body_timeout;
    return until < limit ? until : limit;
}

/* ---- The request's body ---- */

static err_t body_failed(struct h1_exchange *h, err_t e)
{
    h->keep = false;
    if (e == E_DATA)
        return E_BAD_REQUEST; /* the note says why */
    if (e == E_TIMEOUT)
        return fault(E_REQUEST_TIMEOUT, "no more of the body came");
    return e;
}

static err_t ended_early(struct h1_exchange *h)
{
    h->keep = false;
    return fault(E_BAD_REQUEST, "the body ended early");
}

/* A proxy reads the body on one fiber, sends 1xx on another and the final answer on a third. When earlier answers have
   filled the connection an interim one may have to wait, and nobody else may write until it is through. */
static err_t interim_through(struct h1_exchange *h, tick until)
{
    while (h->saying)
        TRY(waitq_wait(&h->said, progress_by(h, until)));
    return NULL;
}

static err_t say_interim(struct h1_exchange *h, struct slice head, tick until)
{
    TRY(interim_through(h, until));
    stat_add(STAT_HTTP_1XX, 1);
    waitq_init(&h->said);
    h->saying = true;
    err_t e = stream_write(h->conn->stream, head, progress_by(h, until));
    h->saying = false;
    waitq_wake(&h->said, -1);
    if (e)
        h->x.broken = e;
    return e;
}

static err_t say_continue(struct h1_exchange *h, tick until)
{
    /* Not when some of the body is there already, nor behind the final head. */
    bool wanted = h->expects && h->work->at == h->work->in.n && !h->x.status;
    h->expects = false;
    return wanted ? say_interim(h, S("HTTP/1.1 100 Continue\r\n\r\n"), until) : NULL;
}

static err_t read_length(struct h1_exchange *h, char *p, size_t cap, size_t *got, tick until)
{
    struct h1_work *w = h->work;
    size_t n = h->in_left < cap ? (size_t)h->in_left : cap, have = w->in.n - w->at;
    if (n == 0)
        return NULL;
    if (have) {
        n = n < have ? n : have;
        memcpy(p, w->in.p + w->at, n);
        w->at += n;
    } else {
        TRY(stream_read(h->conn->stream, p, n, &n, until));
        if (n == 0)
            return ended_early(h);
        stat_add(STAT_BYTES_RECEIVED, (int64_t)n);
    }
    h->in_left -= n;
    *got = n;
    return NULL;
}

/* Chunk framing passes through what is free of the connection's buffer behind the head. */
static err_t refill(struct h1_exchange *h, tick until)
{
    struct h1_work *w = h->work;
    size_t got;
    w->at = w->in.n = h->head_end;
    TRY(stream_read(h->conn->stream, w->in.p + w->in.n, w->in.cap - w->in.n, &got, until));
    if (got == 0)
        return ended_early(h);
    stat_add(STAT_BYTES_RECEIVED, (int64_t)got);
    w->in.n += got;
    return NULL;
}

/* Most trailer sections are an empty line (RFC 9112 section 7.1.2). */
static err_t take_trailers(struct h1_exchange *h)
{
    struct slice raw = buf_slice(&h->raw_trailers);
    if (raw.n <= 2)
        return NULL;
    raw = arena_copy(&h->work->arena, raw);
    return raw.p ? h1_parse_trailers(raw, &h->work->arena, &h->x.trailers) : E_NO_MEMORY;
}

static err_t read_chunked(struct h1_exchange *h, char *p, size_t cap, size_t *got, tick until)
{
    struct h1_work *w = h->work;
    for (bool done = false; !done;) {
        size_t used;
        struct slice data;
        if (w->at == w->in.n)
            TRY(refill(h, until));
        struct slice in = slice_first(slice_of(w->in.p + w->at, w->in.n - w->at), cap);
        TRY(chunked_decode(&h->chunked, in, &used, &data, &done));
        w->at += used;
        if (data.n) {
            memcpy(p, data.p, data.n);
            *got = data.n;
            return NULL;
        }
    }
    return take_trailers(h);
}

static err_t h1_read_body(struct exchange *x, void *p, size_t cap, size_t *got, tick until)
{
    struct h1_exchange *h = of(x);
    if (h->framing.kind == BODY_NONE)
        return NULL;
    TRY(say_continue(h, until));
    tick by = progress_by(h, until);
    err_t e = (h->framing.kind == BODY_LENGTH ? read_length : read_chunked)(h, p, cap, got, by);
    if (e)
        return body_failed(h, e);
    uint64_t max = h->conn->home->server->o.max_body;
    if (x->received + *got <= max)
        return NULL;
    h->keep = false;
    return fault(E_BODY_TOO_LARGE, "more than %llu bytes", (unsigned long long)max);
}

bool h1_exchange_drain(struct h1_exchange *h)
{
    return !request_skip_body(&h->x, H1_DRAIN_MAX, TICK_NEVER) && h->x.body_done;
}

/* ---- The answer ---- */

/* Can the connection be used again although the body has not been read? */
static bool body_allows_keeping(const struct h1_exchange *h)
{
    if (h->x.body_done || h->framing.kind == BODY_NONE)
        return true;
    return !h->expects && h->framing.kind == BODY_LENGTH && h->in_left <= H1_DRAIN_MAX;
}

static err_t decide_framing(struct h1_exchange *h, const struct http_response *r)
{
    bool bodiless = h->x.request.method == M_HEAD || !status_has_body(r->status) ||
                    (h->x.request.method == M_CONNECT && r->status < 300);
    h->out_left = UINT64_MAX;
    if (r->start.n) {
        h->out_left = r->length;
    } else if (fields_has(&r->fields, F_CONTENT_LENGTH)) {
        if (!body_length(fields_get(&r->fields, F_CONTENT_LENGTH), &h->out_left))
            return fault(E_INTERNAL, "a malformed Content-Length to send");
    } else if (!bodiless) {
        h->chunked_out = h->x.request.version >= 11;
        h->keep = h->keep && h->chunked_out;
    }
    if (bodiless)
        h->out_left = 0;
    return NULL;
}

static err_t format_start(struct buf *out, const struct http_response *r)
{
    TRY(h1_format_status_line(out, r->status, r->reason));
    if (fields_has(&r->fields, F_DATE))
        return NULL;
    char *at; /* as one run: this is in every answer */
    TRY(buf_room(out, DATE_LENGTH + 8, &at));
    memcpy(at, "Date: ", 6);
    memcpy(at + 6, date_cached(wall_now() / TICK_S).p, DATE_LENGTH);
    memcpy(at + 6 + DATE_LENGTH, "\r\n", 2);
    out->n += DATE_LENGTH + 8;
    return NULL;
}

static struct slice connection_line(const struct h1_exchange *h, const struct http_response *r)
{
    if (fields_has(&r->fields, F_CONNECTION) || (h->keep && h->x.request.version >= 11))
        return SLICE_NONE;
    return h->keep ? S("Connection: keep-alive\r\n") : S("Connection: close\r\n");
}

static err_t format_head(struct h1_exchange *h, const struct http_response *r)
{
    struct buf *out = &h->work->out;
    const struct slice coding = h->chunked_out ? S("Transfer-Encoding: chunked\r\n") : SLICE_NONE;
    const struct slice rest[] = {r->lines, coding, connection_line(h, r), S("\r\n")};
    h->ahead = r->start;
    if (r->whole && !coding.n && !rest[2].n) {
        h->lines = r->lines;
        *(r->lines.n ? &h->lines.n : &h->ahead.n) += 2;
        return NULL;
    }
    if (!r->start.n) {
        TRY(format_start(out, r));
        TRY(h1_format_fields(out, &r->fields));
    }
    return buf_add_all(out, rest, sizeof rest / sizeof rest[0]);
}

/* Held back in work->out, so that it leaves in one write with the body. */
static err_t h1_head(struct exchange *x, const struct http_response *r, tick until)
{
    (void)until;
    struct h1_exchange *h = of(x);
    struct buf *out = &h->work->out;
    size_t before = out->n;
    h->keep = h->keep && !x->last && body_allows_keeping(h) && !h->conn->home->draining;
    err_t e = decide_framing(h, r);
    if (!e)
        e = format_head(h, r);
    if (e) { /* the error page begins anew */
        out->n = before;
        h->ahead = h->lines = SLICE_NONE;
    }
    return e;
}

typedef err_t writev_fn(struct stream *, struct iovec *, int n, tick until);

struct pieces {
    struct iovec v[6];
    int n;
    size_t total;
};

/* One more to send; what lies behind the last one in memory, as a small file does behind its head, is part of it. */
static inline void add_piece(struct pieces *p, struct slice s)
{
    struct iovec *last = p->n ? p->v + p->n - 1 : NULL;
    if (s.n == 0)
        return;
    if (last && (char *)last->iov_base + last->iov_len == s.p)
        last->iov_len += s.n;
    else
        p->v[p->n++] = (struct iovec){(void *)(uintptr_t)s.p, s.n};
    p->total += s.n;
}

/* What is held back, and up to three more pieces. */
static inline void gather(const struct h1_exchange *h, struct pieces *p, const struct slice *s, int count)
{
    p->n = 0, p->total = 0;
    add_piece(p, h->ahead);
    add_piece(p, h->lines);
    add_piece(p, buf_slice(&h->work->out));
    for (int i = 0; i < count; i++)
        add_piece(p, s[i]);
}

static inline void gone(struct h1_exchange *h, size_t n)
{
    stat_add(STAT_BYTES_SENT, (int64_t)n);
    h->work->out.n = h->ahead.n = h->lines.n = 0;
}

static err_t send_all(struct h1_exchange *h, const struct slice *s, int count, writev_fn *writev, tick until)
{
    struct pieces p;
    gather(h, &p, s, count);
    if (p.n == 0)
        return NULL;
    err_t e = h->saying ? interim_through(h, until) : NULL;
    if (e) {
        io_left = p.total;
        return e;
    }
    TRY(writev(h->conn->stream, p.v, p.n, progress_by(h, until)));
    gone(h, p.total);
    return NULL;
}

/* The end of an answer: nothing more comes for now, or at all on this connection. */
static writev_fn *at_end(const struct h1_exchange *h)
{
    return h->keep ? stream_writev_soon : stream_writev_last;
}

static err_t h1_flush(struct exchange *x, tick until)
{
    return send_all(of(x), NULL, 0, stream_writev, until);
}

static err_t h1_interim(struct exchange *x, const struct http_response *r, tick until)
{
    struct h1_exchange *h = of(x);
    if (x->request.version < 11)
        return NULL; /* RFC 9110 section 15.2: never to an HTTP/1.0 client */
    if (r->status == 100)
        h->expects = false;
    AUTO(buf_free) struct buf head = {0};
    TRY(h1_format_status_line(&head, r->status, r->reason));
    TRY(h1_format_fields(&head, &r->fields));
    TRY(h1_format_end(&head));
    return say_interim(h, buf_slice(&head), until);
}

static err_t take_from_length(struct h1_exchange *h, uint64_t n)
{
    if (h->out_left == UINT64_MAX)
        return NULL;
    if (n > h->out_left) {
        h->keep = false;
        return fault(E_INTERNAL, "more body than the Content-Length announced");
    }
    h->out_left -= n;
    return NULL;
}

/* The last write has failed: what it took of the `n` bytes of body in it, which had `behind` bytes of framing behind.
 */
static err_t cut_short(struct exchange *x, uint64_t n, uint64_t behind, err_t e)
{
    uint64_t left = io_left > behind ? io_left - behind : 0;
    x->sent += left < n ? n - left : 0;
    return e;
}

static err_t h1_body(struct exchange *x, struct slice s, tick until)
{
    struct h1_exchange *h = of(x);
    TRY(take_from_length(h, s.n));
    while (s.n) {
        struct slice piece = slice_first(s, PIECE_MIN);
        char head[CHUNKED_HEAD_MAX];
        s = slice_from(s, piece.n);
        writev_fn *writev = s.n || h->out_left ? stream_writev : at_end(h);
        err_t e;
        if (h->chunked_out)
            e = send_all(h, (struct slice[]){{head, chunked_head(piece.n, head)}, piece, S("\r\n")}, 3, writev, until);
        else
            e = send_all(h, &piece, 1, writev, until);
        if (e)
            return cut_short(x, piece.n, h->chunked_out ? 2 : 0, e);
        x->sent += piece.n;
    }
    return NULL;
}

/* What leaves without a copy: bytes of a file, or pages in memory. */
struct large {
    int file; /* -1: pages */
    uint64_t off;
    const char *pages;
};

/* `framing` in front of it, and what is held back. Pages have that in their first packet; in front of a file, and where
   the kernel sends by timers, it goes ahead, uncorked, which is cheapest for both sides. */
static err_t send_piece(struct h1_exchange *h, struct slice framing, const struct large *from, uint64_t n, tick until)
{
    struct stream *s = h->conn->stream;
    struct pieces p;
    bool apart = from->file >= 0 || h->conn->point->paced;
    if (apart)
        TRY(send_all(h, &framing, 1, stream_writev, until));
    gather(h, &p, &framing, apart ? 0 : 1);
    if (h->saying)
        TRY(interim_through(h, until));
    tick by = progress_by(h, until);
    err_t e = from->file >= 0 ? stream_send_file(s, from->file, from->off, n, by)
                              : stream_send_pages(s, p.v, p.n, slice_of(from->pages, (size_t)n), by);
    if (e)
        return cut_short(&h->x, n, 0, e);
    h->x.sent += n;
    gone(h, p.total + n);
    return NULL;
}

/* A chunk a piece when there is no length; pieces grow while the peer takes them fast. */
static err_t send_large(struct h1_exchange *h, struct large from, uint64_t len, tick until)
{
    TRY(take_from_length(h, len));
    for (uint64_t piece = PIECE_MIN * 4, n; len; len -= n) {
        char head[CHUNKED_HEAD_MAX];
        n = len < piece ? len : piece;
        struct slice framing = {head, h->chunked_out ? chunked_head(n, head) : 0};
        tick before = now();
        TRY(send_piece(h, framing, &from, n, until));
        from.off += n, from.pages += from.file < 0 ? n : 0;
        if (h->chunked_out)
            TRY(buf_add(&h->work->out, S("\r\n")));
        piece = now() - before > TICK_S ? PIECE_MIN : piece < PIECE_MAX ? piece * 2 : piece;
    }
    return NULL;
}

static err_t h1_file(struct exchange *x, int file, uint64_t off, uint64_t len, tick until)
{
    return send_large(of(x), (struct large){.file = file, .off = off}, len, until);
}

static err_t h1_pages(struct exchange *x, struct slice s, tick until)
{
    return send_large(of(x), (struct large){.file = -1, .pages = s.p}, s.n, until);
}

static err_t h1_end(struct exchange *x, const struct http_fields *trailers, tick until)
{
    struct h1_exchange *h = of(x);
    if (h->out_left != UINT64_MAX && h->out_left) {
        h->keep = false;
        return fault(E_TRUNCATED, "the body sent");
    }
    if (h->chunked_out && x->request.method != M_HEAD) {
        TRY(buf_add(&h->work->out, S("0\r\n")));
        if (trailers)
            TRY(h1_format_fields(&h->work->out, trailers));
        TRY(h1_format_end(&h->work->out));
    }
    return h->ahead.n || h->work->out.n ? send_all(h, NULL, 0, at_end(h), until) : NULL;
}

static err_t h1_detach(struct exchange *x, struct stream **out, struct slice *early)
{
    struct h1_exchange *h = of(x);
    TRY(send_all(h, NULL, 0, stream_writev, TICK_NEVER));
    *out = h->conn->stream;
    *early = slice_of(h->work->in.p + h->work->at, h->work->in.n - h->work->at);
    h->conn->stream = NULL;
    h->keep = false;
    return NULL;
}

const struct exchange_ops h1_exchange_ops = {
    .read_body = h1_read_body,
    .interim = h1_interim,
    .head = h1_head,
    .body = h1_body,
    .file = h1_file,
    .pages = h1_pages,
    .end = h1_end,
    .flush = h1_flush,
    .detach = h1_detach,
};
