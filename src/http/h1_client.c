/* SPDX-License-Identifier: MIT */
/*
 * h1_client.c -- a request over HTTP/1.1 (RFC 9112), seen from the client.
 *
 * Head and a small body leave in one write. While the answer is waited for there is no buffer for it; then its head
 * stays in call->in for as long as the call lives. What follows the head there is the body's first part, the rest is
 * read straight into the caller's memory.
 */
#include <stdlib.h>

#include "base/check.h"
#include "http/client_impl.h"
#include "http/fields.h"
#include "http/h1_format.h"
#include "http/h1_parse.h"
#include "http/uri.h"
#include "rt/loop.h"

enum {
    INLINE_BODY = 64 << 10, /* sent with the head, before anything is read */
    UPLOAD_PIECE = 64 << 10,
    FIRST_READ = 16 << 10,
    BULK_FROM = 128 << 10,   /* who brings that much memory wants throughput */
    LENIENT_FIELDS = 4096,   /* a person who asks wants the answer; head_max is the limit that counts */
    INTERIM_MAX = 64,        /* 1xx answers before the final one */
    CONTINUE_WAIT_MS = 1000, /* for 100 (Continue); RFC 9110 section 10.1.1 wants no endless wait */
};

/* ---- The request's head ---- */

static bool absolute_form(const struct client_request *rq)
{
    return rq->proxy && !rq->secure && !rq->tunnel;
}

static err_t add_host(const struct client_request *rq, struct buf *out)
{
    struct uri u = {.host = rq->host, .ipv6 = slice_has(rq->host, ':')};
    u.port = rq->port == (rq->secure ? 443 : 80) ? 0 : rq->port;
    return uri_add_authority(out, &u);
}

static err_t add_line(struct buf *out, struct slice name, struct slice value)
{
    char *at;
    TRY(buf_room(out, name.n + value.n + 4, &at));
    h1_put_field(at, name, value);
    out->n += name.n + value.n + 4;
    return NULL;
}

/* Nothing that would end it on the request line, or the line. */
static bool target_ok(struct slice target)
{
    bool ok = true;
    for (size_t i = 0; i < target.n; i++)
        ok &= (unsigned char)target.p[i] > ' ' && target.p[i] != 0x7f;
    return ok;
}

static err_t add_start(const struct client_request *rq, struct buf *out)
{
    if (!target_ok(rq->target))
        return fault(E_USAGE, "request target '%.*s': a space or control character", SLICE_ARG(rq->target));
    if (!fields_name_ok(rq->method))
        return fault(E_USAGE, "'%.*s' is no method", SLICE_ARG(rq->method));
    const struct slice http = S("http://"), behind = S(" HTTP/1.1\r\n");
    bool absolute = absolute_form(rq) && !slice_eq(rq->target, S("*"));
    char *at;
    TRY(buf_room(out, rq->method.n + 1 + http.n, &at));
    at = slice_put(slice_put(at, rq->method), S(" "));
    out->n = (size_t)((absolute ? slice_put(at, http) : at) - out->p);
    if (absolute)
        TRY(add_host(rq, out));
    TRY(buf_room(out, rq->target.n + behind.n, &at));
    out->n = (size_t)(slice_put(slice_put(at, rq->target), behind) - out->p);
    return NULL;
}

static err_t add_framing(const struct client_body *body, struct buf *out)
{
    if (!body->present)
        return NULL;
    uint64_t n = body->read ? body->length : body->bytes.n;
    if (n == CLIENT_UNKNOWN)
        return buf_add(out, S("Transfer-Encoding: chunked\r\n"));
    return buf_format(out, "Content-Length: %llu\r\n", (unsigned long long)n);
}

/* The framing is ours to say. */
static bool is_framing(const struct http_field *f)
{
    return f->id == F_CONTENT_LENGTH || f->id == F_TRANSFER_ENCODING;
}

static err_t add_fields(const struct http_fields *f, struct buf *out)
{
    size_t n = 0;
    char *at;
    for (uint16_t i = 0; i < f->n; i++) {
        if (!h1_field_ok(&f->v[i]))
            return fault(E_USAGE, "header field '%.*s': a character that is not allowed", SLICE_ARG(f->v[i].name));
        n += f->v[i].name.n + f->v[i].value.n + 4;
    }
    TRY(buf_room(out, n, &at));
    for (uint16_t i = 0, from = 0; i <= f->n; i++) {
        if (i < f->n && !is_framing(&f->v[i]))
            continue;
        at = h1_put_fields(at, f->v + from, (uint16_t)(i - from));
        from = (uint16_t)(i + 1);
    }
    out->n = (size_t)(at - out->p);
    return NULL;
}

err_t client_request_head(const struct client_request *rq, struct buf *out)
{
    TRY(add_start(rq, out));
    if (!rq->fields || !fields_has(rq->fields, F_HOST)) {
        TRY(buf_add(out, S("Host: ")));
        TRY(add_host(rq, out));
        TRY(buf_add(out, S("\r\n")));
    }
    if (absolute_form(rq) && rq->proxy->authorization.n)
        TRY(add_line(out, S("Proxy-Authorization"), rq->proxy->authorization));
    if (rq->fields)
        TRY(add_fields(rq->fields, out));
    TRY(add_framing(&rq->body, out));
    if (rq->close)
        TRY(buf_add(out, S("Connection: close\r\n")));
    return buf_add(out, S("\r\n"));
}

/* ---- Sending ---- */

static err_t send_piece(struct call *call, struct slice piece, bool chunked)
{
    char head[CHUNKED_HEAD_MAX];
    if (!chunked)
        return stream_write(call->stream, piece, call->until);
    struct iovec v[] = {
        {head, chunked_head(piece.n, head)}, {(void *)(uintptr_t)piece.p, piece.n}, {(void *)(uintptr_t) "\r\n", 2}};
    return stream_writev(call->stream, v, 3, call->until);
}

static err_t send_last_chunk(struct call *call)
{
    const struct client_body *body = &call->request->body;
    const struct http_fields *f = body->trailers ? body->trailers(body->arg) : NULL;
    AUTO(buf_free) struct buf b = {0};
    TRY(buf_add(&b, S("0\r\n")));
    for (int i = 0; f && i < f->n; i++)
        TRY(add_line(&b, f->v[i].name, f->v[i].value));
    TRY(buf_add(&b, S("\r\n")));
    return stream_write(call->stream, buf_slice(&b), call->until);
}

static err_t send_reader(struct call *call, char *piece)
{
    const struct client_body *body = &call->request->body;
    bool chunked = body->length == CLIENT_UNKNOWN;
    for (uint64_t left = body->length;;) {
        size_t got, want = left < UPLOAD_PIECE ? (size_t)left : UPLOAD_PIECE;
        if (want == 0)
            return NULL;
        call->waiting = TICK_NEVER;
        err_t e = body->read(body->arg, piece, want, &got, call->until);
        if (!e && got == 0 && !chunked)
            e = fault(E_CHANGED, "the request body ended %llu bytes early", (unsigned long long)left);
        if (e) {
            client_upload_broke(call, e); /* of our own making: worth more than what the server says to half a body */
            return e;
        }
        call->waiting = now();
        if (got == 0)
            return send_last_chunk(call);
        TRY(send_piece(call, slice_of(piece, got), chunked));
        left -= chunked ? 0 : got;
    }
}

static err_t send_body(struct call *call)
{
    const struct client_body *body = &call->request->body;
    if (!body->read)
        return stream_write(call->stream, body->bytes, call->until);
    char *piece = malloc(UPLOAD_PIECE);
    err_t e = piece ? send_reader(call, piece) : E_NO_MEMORY;
    free(piece);
    return e;
}

/* Hold the body back until the server wants it. False: it answered without wanting it. */
static bool may_send(struct call *call)
{
    tick until = after(CONTINUE_WAIT_MS);
    err_t e = NULL;
    while (!call->may_proceed && !call->answered && !e)
        e = waitq_wait(&call->proceed, until < call->until ? until : call->until);
    return call->may_proceed || (!call->answered && e == E_TIMEOUT);
}

static bool expects_continue(const struct client_request *rq)
{
    return rq->fields && fields_has_token(rq->fields, F_EXPECT, S("100-continue"));
}

static void upload(void *arg)
{
    struct call *call = arg;
    err_t e = E_CANCELED;
    if (!expects_continue(call->request) || may_send(call))
        e = send_body(call);
    if (e)
        call->keep = false;
    if (call->upload_error && !stream_finish(call->stream, after(0)))
        call->keep = false; /* the server will end what the reader waits for */
    call->times.sent = client_clock(call);
    call->uploading = e != NULL;
}

static err_t send_request(struct call *call)
{
    const struct client_request *rq = call->request;
    const struct client_body *body = &rq->body;
    client_buf_take(call->client, &call->out);
    call->out.n = 0;
    TRY(client_request_head(rq, &call->out));
    bool with_head = body->present && !body->read && body->bytes.n <= INLINE_BODY && !expects_continue(rq);
    struct iovec v[] = {{call->out.p, call->out.n}, {(void *)(uintptr_t)body->bytes.p, with_head ? body->bytes.n : 0}};
    /* With nothing behind it, it may leave with what others send in this turn: the answer is waited for next. */
    bool whole = !body->present || with_head;
    TRY((whole ? stream_writev_soon : stream_writev)(call->stream, v, 2, call->until));
    call->times.sent = client_clock(call);
    if (call->client->reports)
        call->request_head = buf_slice(&call->out);
    else
        client_buf_give(call->client, &call->out);
    if (whole)
        return NULL;
    call->uploading = true;
    return scope_spawn(&call->uploads, "upload", upload, call);
}

/* ---- The response's head ---- */

static err_t fill(struct call *call, tick until)
{
    if (!call->in.p) {
        TRY(stream_wait(call->stream, until));
        client_buf_take(call->client, &call->in);
    }
    return stream_fill(call->stream, &call->in, FIRST_READ, until);
}

static err_t parse_head(struct call *call, struct h1_parse *parse, bool *headless, size_t *used, tick until)
{
    for (;;) {
        *used = 0, *headless = false;
        if (call->in.n)
            TRY(h1_parse_response(parse, buf_slice(&call->in), &call->arena, &call->response, used, headless));
        if (*used || *headless)
            return NULL;
        err_t e = client_wait(call, fill, until);
        if (e == E_EOF && call->in.n)
            return fault(E_TRUNCATED, "the connection was closed inside the response head");
        if (e == E_EOF)
            return fault(E_EOF, "no answer came");
        TRY(e);
        if (!call->times.first_byte)
            call->times.first_byte = client_clock(call);
    }
}

static void interim(struct call *call, size_t used)
{
    call->waiting = now();
    body_settle_length(&call->response, call->method);
    if (call->request->interim) /* before the upload goes on: whoever passes 100 on is to be the first */
        call->request->interim(call->request->arg, &call->response);
    if (call->response.status == 100) {
        call->may_proceed = true;
        waitq_wake(&call->proceed, -1);
    }
    buf_eat(&call->in, used);
}

static err_t take_head(struct call *call, size_t used, bool headless)
{
    if (headless && !call->client->headless)
        return fault(E_PROTO, "the answer does not begin with HTTP/");
    call->answered = true;
    waitq_wake(&call->proceed, -1);
    call->head = slice_first(buf_slice(&call->in), used);
    call->early = slice_from(buf_slice(&call->in), used);
    if (headless)
        call->framing = (struct body_framing){BODY_CLOSE, CLIENT_UNKNOWN};
    else if (call->response.status == 101)
        call->framing = (struct body_framing){BODY_NONE, 0};
    else
        TRY(body_of_response(&call->response, call->method, false, &call->framing));
    if (!call->framing.settled)
        body_settle_length(&call->response, call->method);
    call->length = call->framing.length;
    call->keep = !headless && !call->request->close && call->framing.kind != BODY_CLOSE &&
                 call->response.status != 101 && h1_keep_alive(call->response.version, &call->response.fields);
    return NULL;
}

static err_t read_head(struct call *call, tick until)
{
    size_t max = call->client->head_max ? call->client->head_max : CLIENT_HEAD_MAX;
    call->in.max = max + FIRST_READ;
    for (int i = 0; i < INTERIM_MAX; i++) {
        struct h1_parse parse = {.lenient = call->client->lenient,
                                 .max_head = (uint32_t)max,
                                 .max_fields = call->client->lenient ? LENIENT_FIELDS : 0};
        size_t used;
        bool headless;
        call->response = (struct http_response){0};
        TRY(parse_head(call, &parse, &headless, &used, until));
        if (headless || call->response.status >= 200 || call->response.status == 101)
            return take_head(call, used, headless);
        interim(call, used);
    }
    return fault(E_PROTO, "more than %d interim answers", INTERIM_MAX);
}

/* ---- The response's body ---- */

static err_t raw_read(struct call *call, void *p, size_t cap, size_t *got, tick until)
{
    if (call->early.n == 0)
        return stream_read(call->stream, p, cap, got, until);
    *got = call->early.n < cap ? call->early.n : cap;
    memcpy(p, call->early.p, *got);
    call->early = slice_from(call->early, *got);
    return NULL;
}

static err_t cut_short(const struct call *call)
{
    if (call->upload_error)
        return client_upload_error(call);
    if (call->framing.kind == BODY_LENGTH)
        return fault(E_TRUNCATED, "%llu of %llu bytes came", (unsigned long long)call->received,
                     (unsigned long long)call->length);
    return fault(E_TRUNCATED, "the connection was closed inside a chunked body");
}

static err_t read_length(struct call *call, void *p, size_t cap, size_t *got, tick until)
{
    uint64_t left = call->length - call->received;
    if (cap >= BULK_FROM && left > cap && call->early.n == 0)
        TRY(stream_read_bulk(call->stream, p, cap, got, until));
    else
        TRY(raw_read(call, p, cap < left ? cap : (size_t)left, got, until));
    if (*got == 0)
        return cut_short(call);
    call->done = *got == left;
    return NULL;
}

static err_t chunked_end(struct call *call, size_t rest)
{
    call->done = true;
    if (rest || call->early.n)
        call->keep = false;
    if (call->raw_trailers.n && h1_parse_trailers(buf_slice(&call->raw_trailers), &call->arena, &call->trailers))
        return E_PROTO; /* with the parser's note */
    return NULL;
}

/* Chunked framing is taken out in place: what is read lands in the caller's memory and moves down over it. */
static err_t read_chunked(struct call *call, char *p, size_t cap, size_t *got, tick until)
{
    size_t out = 0;
    while (out == 0 && !call->done) {
        size_t n, used;
        TRY(raw_read(call, p, cap, &n, until));
        if (n == 0)
            return cut_short(call);
        for (struct slice in = {p, n}, data; in.n && !call->done; in = slice_from(in, used)) {
            bool done = false;
            err_t e = chunked_decode(&call->chunked, in, &used, &data, &done);
            if (e)
                return e == E_DATA ? E_PROTO : e;
            if (data.n)
                memmove(p + out, data.p, data.n);
            out += data.n;
            if (done)
                TRY(chunked_end(call, in.n - used));
        }
    }
    *got = out;
    return NULL;
}

static err_t h1_read(struct call *call, void *p, size_t cap, size_t *got, tick until)
{
    *got = 0;
    switch (call->framing.kind) {
    case BODY_NONE:
        call->done = true;
        return NULL;
    case BODY_LENGTH:
        return read_length(call, p, cap, got, until);
    case BODY_CHUNKED:
        return read_chunked(call, p, cap, got, until);
    case BODY_CLOSE:
        TRY(raw_read(call, p, cap, got, until));
        call->done = *got == 0;
        return NULL;
    }
    UNREACHABLE();
}

static void h1_close(struct call *call)
{
    bool whole = call->done || (call->answered && call->framing.kind == BODY_NONE);
    client_release(call, whole && call->keep && !call->uploading && call->early.n == 0);
}

static err_t h1_detach(struct call *call, struct stream **out, struct slice *early)
{
    *out = call->stream;
    *early = call->early;
    call->conn->stream = NULL;
    client_release(call, false);
    return NULL;
}

static const struct call_ops h1_ops = {h1_read, h1_close, h1_detach};

err_t h1_client_open(struct call *call, tick until)
{
    call->ops = &h1_ops;
    call->until = until;
    call->chunked = (struct chunked){.trailers = &call->raw_trailers};
    err_t sent = send_request(call);
    if (sent && (sent->kind != ERR_PEER || call->reused))
        return sent;
    /* A server may answer and close before it has read everything: its answer counts for more. */
    err_t e = read_head(call, until);
    if (e && call->upload_error)
        return client_upload_error(call);
    return e && sent ? sent : e;
}
