/* SPDX-License-Identifier: MIT */
#include <stdatomic.h>
#include <stdlib.h>

#include "app/echo/echo.h"
#include "base/log.h"
#include "base/rate.h"
#include "base/stat.h"
#include "net/stream.h"
#include "net/udp.h"
#include "rt/io.h"
#include "rt/worker.h"

enum { PIECE = 2048, DATAGRAMS = 32, DATAGRAM_MAX = 65535, LINGER_MS = 1000 };

struct conn { /* one TCP client */
    struct echo_server *server;
    struct stream_tcp tcp;
    struct stream *stream; /* it, or the trace over it */
    char line[4];          /* the start of the current line, for finding `bye` */
    size_t line_length;
};

static _Thread_local struct scope here; /* every echo fiber of this worker, */
static _Thread_local bool here_open;    /* from the first start on */

static bool is_bye(struct slice s)
{
    if (slice_ends(s, S("\n")))
        s.n--;
    if (slice_ends(s, S("\r")))
        s.n--;
    return slice_eq(s, S("bye"));
}

/* Does a line that ends within `s` say bye? Lines may have begun in earlier reads. */
static bool line_says_bye(struct conn *c, struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\n') {
            size_t n = c->line_length;
            if (n == 4 && c->line[3] == '\r')
                n = 3;
            c->line_length = 0;
            if (n == 3 && memcmp(c->line, "bye", 3) == 0)
                return true;
        } else {
            if (c->line_length < sizeof c->line)
                c->line[c->line_length] = s.p[i];
            c->line_length++;
        }
    }
    return false;
}

static err_t converse(struct conn *c)
{
    char piece[PIECE];
    size_t n;
    struct stream *s = c->stream;
    TRY(stream_write(s, S("Welcome\n"), after(c->server->idle_ms)));
    for (;;) {
        TRY(stream_read(s, piece, sizeof piece, &n, after(c->server->idle_ms)));
        if (n == 0)
            return NULL;
        stat_add(STAT_BYTES_RECEIVED, (int64_t)n);
        bool bye = line_says_bye(c, slice_of(piece, n)) || is_bye(slice_of(piece, n));
        for (size_t i = 0; i < n; i++)
            piece[i] = ascii_upper(piece[i]);
        TRY(stream_write(s, slice_of(piece, n), after(c->server->idle_ms)));
        stat_add(STAT_BYTES_SENT, (int64_t)n);
        if (bye)
            return NULL;
    }
}

/* Close without RST: what the client still sends must be read, or the kernel takes back what we sent. */
static void linger(struct stream *s)
{
    char drop[PIECE];
    size_t n = 1;
    tick until = after(LINGER_MS);
    if (stream_finish(s, until))
        return;
    while (n && !stream_read(s, drop, sizeof drop, &n, until))
        ;
}

static void conn_fiber(void *arg)
{
    struct conn *c = arg;
    if (!converse(c)) /* else the client is gone, or it was silent for too long: either way we are done with it */
        linger(c->stream);
    stream_close(c->stream);
    atomic_fetch_sub_explicit(&c->server->open, 1, memory_order_relaxed);
    free(c);
    stat_add(STAT_CONNECTIONS_OPEN, -1);
}

static err_t conn_start(struct echo_server *server, int fd)
{
    struct conn *c = calloc(1, sizeof *c);
    if (!c)
        return E_NO_MEMORY;
    c->server = server;
    stream_tcp_init(&c->tcp, fd);
    err_t e = scope_spawn(&here, "echo", conn_fiber, c);
    if (e)
        free(c);
    else
        c->stream = stream_trace(&c->tcp.stream, server->trace, 'S', TRACE_LINES);
    return e;
}

static void welcome(struct echo_server *server, int fd)
{
    stat_add(STAT_CONNECTIONS_ACCEPTED, 1);
    uint64_t open = atomic_fetch_add_explicit(&server->open, 1, memory_order_relaxed);
    if (open < server->max_connections && !conn_start(server, fd)) {
        stat_add(STAT_CONNECTIONS_OPEN, 1);
        return;
    }
    atomic_fetch_sub_explicit(&server->open, 1, memory_order_relaxed);
    stat_add(STAT_CONNECTIONS_REFUSED, 1);
    io_close(fd);
}

struct point { /* what an accepting or receiving fiber needs */
    struct echo_server *server;
    int fd;
};

static void accept_fiber(void *arg)
{
    struct point *p = arg;
    for (;;) {
        int fd;
        struct addr peer;
        err_t e = io_accept(p->fd, &fd, &peer, TICK_NEVER);
        if (e == E_CANCELED)
            break;
        if (!e)
            welcome(p->server, fd);
        else if (fiber_sleep(after(50))) /* out of descriptors: some client will leave */
            break;
    }
    free(p);
}

/* ---- UDP ---- */

/* Two echo servers must never answer each other for ever: what comes from our own port number, or went to many, gets
   no answer. */
static bool may_answer(const struct datagram *d)
{
    return addr_port(&d->peer) != addr_port(&d->local) && !d->group && !d->cut;
}

/* Turn what was received into the answers, in place; says how many, and whether one was a bye. */
static unsigned answers(struct point *p, struct datagram *d, unsigned n, uint16_t own_port, struct rate *rate,
                        bool *bye)
{
    struct trace_sink *trace = p->server->trace;
    unsigned out = 0;
    for (unsigned i = 0; i < n; i++) {
        addr_set_port(&d[i].local, own_port);
        if (!may_answer(&d[i]) || !rate_allow(rate, &d[i].peer, now()))
            continue;
        d[i].ttl = d[i].tos = -1;
        trace_line(trace, 'C', "%.*s", SLICE_ARG(d[i].payload));
        if (is_bye(d[i].payload)) {
            d[i].payload = S("I see u.");
            *bye = true;
        } else {
            char *text = (char *)(uintptr_t)d[i].payload.p; /* the batch's own buffer */
            for (size_t k = 0; k < d[i].payload.n; k++)
                text[k] = ascii_upper(text[k]);
        }
        trace_line(trace, 'S', "%.*s", SLICE_ARG(d[i].payload));
        d[out++] = d[i];
    }
    return out;
}

static err_t answer_datagrams(struct point *p, struct udp_batch *batch, struct rate *rate)
{
    enum udp_flags granted;
    struct addr own = {.len = sizeof own.v6};
    TRY(udp_setup(p->fd, UDP_LOCAL, &granted));
    if (getsockname(p->fd, &own.sa, &own.len) != 0)
        return E_IO;
    for (;;) {
        struct datagram *d;
        unsigned n = 0, sent = 0;
        bool bye = false;
        err_t e = udp_recv(p->fd, batch, &d, &n, TICK_NEVER);
        if (e == E_CANCELED)
            return e;
        if (e)
            continue; /* an ICMP error about an earlier answer is nobody's concern here */
        n = answers(p, d, n, addr_port(&own), rate, &bye);
        for (unsigned at = 0; at < n; at += sent + 1) { /* one that cannot be sent does not hold up the rest */
            e = udp_send(p->fd, batch, d + at, n - at, &sent, after(1000));
            if (!e || e == E_CANCELED)
                break;
        }
        if (bye && p->server->once) {
            p->server->ended();
            return NULL;
        }
    }
}

static void datagram_fiber(void *arg)
{
    struct point *p = arg;
    struct udp_batch *batch = NULL;
    struct rate rate = {0};
    err_t e = udp_batch_new(DATAGRAMS, DATAGRAM_MAX, &batch);
    if (!e)
        e = rate_init(&rate, p->server->rate_limit);
    if (!e)
        e = answer_datagrams(p, batch, &rate);
    if (e && e != E_CANCELED)
        log_line(LOG_ERROR, "echo: %s", e->text);
    rate_done(&rate);
    udp_batch_free(batch);
    free(p);
}

err_t echo_server_start(struct echo_server *server, int worker)
{
    if (!here_open)
        scope_open(&here);
    here_open = true;
    for (int i = 0; i < server->count; i++) {
        struct point *p = malloc(sizeof *p);
        if (!p)
            return E_NO_MEMORY;
        *p = (struct point){server, listen_fd(&server->points[i], worker)};
        err_t e = scope_spawn(&here, "listen", server->udp ? datagram_fiber : accept_fiber, p);
        if (e) {
            free(p);
            return e;
        }
    }
    return NULL;
}

void echo_server_drain(void)
{
    if (here_open)
        scope_cancel(&here); /* there is nothing to finish: an echo is sent at once */
}
