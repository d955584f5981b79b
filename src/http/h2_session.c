/* SPDX-License-Identifier: MIT */
#include "http/h2_session.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "http/fields.h"
#include "rt/loop.h"

/* ---- What nghttp2 tells us. Nothing here may switch fibers. ---- */

static struct h2_stream *stream_of(nghttp2_session *ng, int32_t id)
{
    return nghttp2_session_get_stream_user_data(ng, id);
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    (void)user;
    struct h2_stream *s = stream_of(ng, frame->hd.stream_id);
    if (s && s->call->answered)
        s->in_trailers = true;
    else if (s)
        s->call->response = (struct http_response){.version = 20};
    return 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name, size_t name_n,
                     const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
    (void)flags, (void)user;
    struct h2_stream *s = stream_of(ng, frame->hd.stream_id);
    if (!s)
        return 0;
    struct call *call = s->call;
    size_t max = call->client->head_max ? call->client->head_max : CLIENT_HEAD_MAX;
    s->head_size += name_n + value_n + 32; /* as RFC 9113 section 6.5.2 counts it */
    if (s->head_size > max) {
        s->error = E_HEADER_TOO_LARGE;
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    struct slice n = slice_of(name, name_n), v = slice_of(value, value_n);
    if (slice_eq(n, S(":status"))) {
        uint64_t status = 0;
        call->response.status = slice_u64(v, &status) ? (uint16_t)status : 0;
        return 0;
    }
    struct http_fields *to = s->in_trailers ? &call->trailers : &call->response.fields;
    if (!fields_add(&call->arena, to, arena_copy(&call->arena, n), arena_copy(&call->arena, v))) {
        s->error = E_HEADER_TOO_LARGE;
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return 0;
}

static void head_ended(struct h2_stream *s)
{
    struct call *call = s->call;
    if (s->in_trailers)
        return;
    if (!call->times.first_byte)
        call->times.first_byte = client_clock(call);
    if (call->response.status >= 200) {
        call->answered = true;
    } else {
        call->waiting = now();
        body_settle_length(&call->response, call->method);
        if (call->request->interim)
            call->request->interim(call->request->arg, &call->response);
        if (call->response.status == 100)
            call->may_proceed = true;
    }
    waitq_wake(&call->proceed, -1);
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    struct h2_session *h = user;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        h->going_away = true;
    struct h2_stream *s = frame->hd.stream_id ? stream_of(ng, frame->hd.stream_id) : NULL;
    if (!s)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS)
        head_ended(s);
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        s->ended = true;
    waitq_wake(&s->changed, -1);
    return 0;
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *user)
{
    (void)flags, (void)user;
    struct h2_stream *s = stream_of(ng, id);
    if (!s) {
        nghttp2_session_consume(ng, id, n); /* a stream that nobody wants any more */
        return 0;
    }
    if (s->taken > s->data.n / 2) { /* no more is moved than was read since */
        buf_eat(&s->data, s->taken);
        s->taken = 0;
    }
    if (buf_add(&s->data, slice_of(p, n))) {
        s->error = E_NO_MEMORY;
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    waitq_wake(&s->changed, -1);
    return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t code, void *user)
{
    (void)user;
    struct h2_stream *s = stream_of(ng, id);
    if (!s)
        return 0;
    s->closed = true;
    s->code = code;
    waitq_wake(&s->changed, -1);
    waitq_wake(&s->drained, -1);
    waitq_wake(&s->call->proceed, -1);
    return 0;
}

static int make_nghttp2(struct h2_session *h)
{
    nghttp2_session_callbacks *c;
    nghttp2_option *o;
    if (nghttp2_session_callbacks_new(&c))
        return -1;
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
    int failed = nghttp2_option_new(&o);
    if (!failed) {
        nghttp2_option_set_no_auto_window_update(o, 1);
        failed = nghttp2_session_client_new2(&h->ng, c, h, o);
        nghttp2_option_del(o);
    }
    nghttp2_session_callbacks_del(c);
    if (failed)
        return -1;
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                               {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW}};
    return nghttp2_submit_settings(h->ng, 0, settings, 2) ||
           nghttp2_session_set_local_window_size(h->ng, 0, 0, H2_SESSION_WINDOW);
}

/* ---- The session ---- */

static void free_when_over(struct h2_session *h)
{
    if (h->reading || h->writing || !list_empty(&h->streams))
        return;
    list_remove(&h->link);
    nghttp2_session_del(h->ng);
    buf_free(&h->out);
    pool_release(h->conn, false);
    free(h);
}

void h2_session_fail(struct h2_session *h, err_t e)
{
    if (!h->dead) {
        h->error = e;
        snprintf(h->why, sizeof h->why, "%s", fault_detail());
    }
    h->dead = true;
    for (struct list *l = h->streams.next; l != &h->streams; l = l->next) {
        struct h2_stream *s = LIST_ENTRY(l, struct h2_stream, link);
        waitq_wake(&s->changed, -1);
        waitq_wake(&s->drained, -1);
        waitq_wake(&s->call->proceed, -1);
    }
}

/* Everything nghttp2 has by now, in one write. */
static err_t gather(struct h2_session *h)
{
    const uint8_t *p = NULL;
    ssize_t n = 0;
    while (h->out.n < H2_READ && (n = FOREIGN(nghttp2_session_mem_send(h->ng, &p))) > 0)
        TRY(buf_add(&h->out, slice_of(p, (size_t)n)));
    return n < 0 ? fault(E_PROTO, "HTTP/2: %s", nghttp2_strerror((int)n)) : NULL;
}

err_t h2_session_flush(struct h2_session *h, tick until)
{
    err_t e = NULL;
    if (h->writing || h->dead)
        return NULL; /* the one who writes takes ours along; a dead session says so where it is read */
    h->writing = true;
    while (!(e = gather(h)) && h->out.n) {
        e = stream_write(h->stream, buf_slice(&h->out), until);
        h->out.n = 0;
        if (e)
            break;
    }
    h->writing = false;
    if (e)
        h2_session_fail(h, e); /* a frame may have gone halfway */
    return e;
}

static err_t read_all(struct h2_session *h, char *piece)
{
    size_t got;
    for (;;) {
        TRY(stream_read(h->stream, piece, H2_READ, &got, TICK_NEVER));
        if (got == 0)
            return fault(E_EOF, "the HTTP/2 connection ended");
        ssize_t n = FOREIGN(nghttp2_session_mem_recv(h->ng, (const uint8_t *)piece, got));
        if (n < 0)
            return fault(E_PROTO, "HTTP/2: %s", nghttp2_strerror((int)n));
        TRY(h2_session_flush(h, after(30000)));
        if (!nghttp2_session_want_read(h->ng) && !nghttp2_session_want_write(h->ng))
            return fault(h->going_away ? E_EOF : E_PROTO, "the HTTP/2 session ended");
    }
}

static void reader(void *arg)
{
    struct h2_session *h = arg;
    char *piece = malloc(H2_READ);
    err_t e = piece ? read_all(h, piece) : E_NO_MEMORY;
    free(piece);
    h2_session_fail(h, e);
    h->reading = false;
    free_when_over(h);
}

err_t h2_session_new(struct client *c, struct slice key, struct pool_conn *conn, struct h2_session **out, tick until)
{
    struct h2_session *h = calloc(1, sizeof *h + key.n);
    if (!h) {
        pool_release(conn, false);
        return E_NO_MEMORY;
    }
    memcpy(h + 1, key.p, key.n);
    h->key = slice_of(h + 1, key.n);
    h->client = c;
    h->conn = conn;
    h->stream = conn->stream;
    list_init(&h->streams);
    list_add_last(&c->h2, &h->link);
    err_t e = make_nghttp2(h) ? E_NO_MEMORY : h2_session_flush(h, until);
    if (!e)
        e = scope_spawn(&c->sessions, "h2 reader", reader, h);
    if (e) {
        free_when_over(h);
        return e;
    }
    h->reading = true;
    *out = h;
    return NULL;
}

void h2_session_leave(struct h2_stream *s)
{
    struct h2_session *h = s->session;
    if (!s->closed && s->id > 0) {
        nghttp2_session_set_stream_user_data(h->ng, s->id, NULL);
        nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
    }
    if (s->id > 0 && s->data.n > s->taken)
        nghttp2_session_consume_connection(h->ng, s->data.n - s->taken);
    list_remove(&s->link);
    buf_free(&s->data);
    free(s);
    if (h2_session_flush(h, after(1000)))
        fault_clear(); /* the session is over; nobody waits for this stream */
    free_when_over(h);
}
