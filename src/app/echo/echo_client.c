/* SPDX-License-Identifier: MIT */
#include <unistd.h>

#include "app/echo/echo.h"
#include "base/text.h"
#include "net/dial.h"
#include "net/stream.h"
#include "net/udp.h"
#include "rt/io.h"
#include "rt/waitq.h"

enum { LINE_MAX_BYTES = 64 << 10, PIECE = 2048, GREETING_MS = 300 };

struct session {
    const struct echo_client *conf;
    struct stream_tcp tcp;
    struct stream *stream; /* it, or the trace over it */
    struct scope fibers;
    struct waitq heard;     /* something came from the server */
    bool input_over, ended; /* standard input; the server's side */
    uint64_t bytes;         /* received */
    err_t error;
    struct buf line;
    char last; /* byte shown */
};

/* The server's bytes to standard output: as they are into a pipe, harmless ones only to a terminal. */
static err_t show(struct session *s, struct slice bytes)
{
    if (bytes.n == 0)
        return NULL;
    s->last = bytes.p[bytes.n - 1];
    if (!isatty(STDOUT_FILENO))
        return write(STDOUT_FILENO, bytes.p, bytes.n) < 0 ? E_IO : NULL;
    AUTO(buf_free) struct buf safe = {0};
    struct slice part;
    for (struct slice rest = bytes; slice_cut(&rest, '\n', &part);) {
        TRY(text_safe_add(&safe, slice_ends(part, S("\r")) ? slice_first(part, part.n - 1) : part));
        if (rest.p)
            TRY(buf_add_char(&safe, '\n'));
    }
    return write(STDOUT_FILENO, safe.p, safe.n) < 0 ? E_IO : NULL;
}

/* The next line of standard input, its line end included when it has one; empty at the end of input. */
static err_t next_line(struct session *s, struct slice *line)
{
    for (;;) {
        char *at;
        size_t got, end = slice_find(buf_slice(&s->line), '\n', 0);
        if (end != SIZE_MAX || s->input_over || s->line.n == LINE_MAX_BYTES) {
            *line = slice_first(buf_slice(&s->line), end == SIZE_MAX ? s->line.n : end + 1);
            return NULL;
        }
        TRY(buf_room(&s->line, PIECE, &at));
        TRY(io_read(s->conf->input, at, PIECE, &got, TICK_NEVER));
        s->line.n += got;
        s->input_over = got == 0;
    }
}

static struct slice without_end(struct slice line)
{
    if (slice_ends(line, S("\n")))
        line.n--;
    if (slice_ends(line, S("\r")))
        line.n--;
    return line;
}

/* ---- TCP ---- */

static void listener_fiber(void *arg)
{
    struct session *s = arg;
    char piece[PIECE];
    size_t n = 1;
    err_t e = NULL;
    while (!e && n) {
        e = stream_read(s->stream, piece, sizeof piece, &n, TICK_NEVER);
        if (!e && n)
            e = show(s, slice_of(piece, n));
        if (!e)
            s->bytes += n;
        waitq_wake(&s->heard, -1);
    }
    s->ended = true;
    if (e != E_CANCELED)
        s->error = e;
    scope_cancel(&s->fibers); /* the talker may be waiting for a line that nobody needs any more */
    waitq_wake(&s->heard, -1);
}

/* A server may greet, and then it does so at once. */
static err_t await_greeting(struct session *s)
{
    if (!s->bytes && !s->ended) {
        err_t e = waitq_wait(&s->heard, after(GREETING_MS));
        if (e && e != E_TIMEOUT)
            return e;
    }
    return s->bytes && s->last != '\n' ? show(s, S("\n")) : NULL;
}

/* The labs' servers answer each read, so without line ends each line waits for the answer to the one before. */
static err_t await_answer(struct session *s, uint64_t before)
{
    while (s->bytes == before && !s->ended)
        TRY(waitq_wait(&s->heard, after(s->conf->timeout_ms)));
    return s->last != '\n' && !s->ended ? show(s, S("\n")) : NULL;
}

static err_t talk(struct session *s)
{
    struct slice line;
    if (s->conf->no_newline)
        TRY(await_greeting(s));
    for (;;) {
        TRY(next_line(s, &line));
        if (line.n == 0)
            break;
        uint64_t before = s->bytes;
        TRY(stream_write(s->stream, s->conf->no_newline ? without_end(line) : line, after(s->conf->timeout_ms)));
        buf_eat(&s->line, line.n);
        if (s->conf->no_newline)
            TRY(await_answer(s, before));
    }
    return stream_finish(s->stream, after(s->conf->timeout_ms)); /* the listener goes on until the server ends */
}

static void talker_fiber(void *arg)
{
    struct session *s = arg;
    err_t e = talk(s);
    if (e && e != E_CANCELED && !s->ended && !s->error)
        s->error = e == E_TIMEOUT ? fault(e, "no answer within %lld ms", (long long)s->conf->timeout_ms) : e;
    if (e && !s->ended)
        scope_cancel(&s->fibers);
}

static err_t tcp_session(struct session *s)
{
    int fd;
    TRY(dial(s->conf->host, s->conf->port, &(struct dial_options){0}, &fd, NULL, NULL, after(s->conf->timeout_ms)));
    stream_tcp_init(&s->tcp, fd);
    s->stream = stream_trace(&s->tcp.stream, s->conf->trace, 'C', TRACE_LINES);
    scope_open(&s->fibers);
    err_t e = scope_spawn(&s->fibers, "listener", listener_fiber, s);
    if (!e)
        e = scope_spawn(&s->fibers, "talker", talker_fiber, s);
    if (!e)
        e = scope_join(&s->fibers, TICK_NEVER);
    scope_close(&s->fibers);
    stream_close(s->stream);
    return e ? e : s->error;
}

/* ---- UDP ---- */

static err_t ask(struct session *s, int fd, struct udp_batch *batch, struct slice line)
{
    struct datagram question = {.payload = line, .ttl = -1, .tos = -1}, *d;
    unsigned n;
    trace_line(s->conf->trace, 'C', "%.*s", SLICE_ARG(line));
    TRY(udp_send(fd, batch, &question, 1, &n, after(s->conf->timeout_ms)));
    err_t e = udp_recv(fd, batch, &d, &n, after(s->conf->timeout_ms));
    if (e == E_TIMEOUT)
        return fault(e, "%.*s: no answer", SLICE_ARG(s->conf->host));
    TRY(e);
    for (unsigned i = 0; i < n; i++) {
        trace_line(s->conf->trace, 'S', "%.*s", SLICE_ARG(d[i].payload));
        TRY(show(s, d[i].payload));
        if (!slice_ends(d[i].payload, S("\n")))
            TRY(show(s, S("\n")));
    }
    return NULL;
}

static err_t udp_session(struct session *s)
{
    struct resolved found;
    struct udp_batch *batch;
    struct slice line = S("x");
    int fd;
    TRY(resolve(s->conf->host, s->conf->port, 0, &found, after(s->conf->timeout_ms)));
    TRY(udp_batch_new(4, LINE_MAX_BYTES, &batch));
    err_t e = udp_dial(&found.v[0], &fd);
    if (e) {
        udp_batch_free(batch);
        return e;
    }
    while (!e && line.n) {
        e = next_line(s, &line);
        if (!e && line.n)
            e = ask(s, fd, batch, without_end(line));
        if (!e)
            buf_eat(&s->line, line.n);
    }
    io_close(fd);
    udp_batch_free(batch);
    return e;
}

err_t echo_client(const struct echo_client *conf)
{
    struct session s = {.conf = conf, .line.max = LINE_MAX_BYTES + PIECE};
    waitq_init(&s.heard);
    err_t e = conf->udp ? udp_session(&s) : tcp_session(&s);
    buf_free(&s.line);
    return e;
}
