/* SPDX-License-Identifier: MIT */
#include "http/conn.h"

#include <stdlib.h>

#include "base/stat.h"
#include "http/clients.h"
#include "rt/io.h"
#include "rt/loop.h"

enum { SPARE = 64 }; /* connections whose memory waits for the next ones */

void conn_peer(const struct conn *c, struct addr *out)
{
    out->len = c->peer.sa.sa_family == AF_INET    ? sizeof c->peer.v4
               : c->peer.sa.sa_family == AF_INET6 ? sizeof c->peer.v6
                                                  : sizeof c->peer.sa.sa_family;
    if (c->peer.sa.sa_family == AF_UNIX)
        out->un.sun_path[0] = 0;
    memcpy(&out->sa, &c->peer, out->len);
}

bool conn_peer_local(const struct conn *c)
{
    struct addr a;
    conn_peer(c, &a);
    return a.sa.sa_family == AF_UNIX || addr_is_loopback(&a);
}

/* Their memory is used again, last used first, for as many as mostly come and go within a turn. */
static struct conn *conn_take(struct server_loop *l)
{
    if (list_empty(&l->spare_conns))
        return malloc(sizeof(struct conn));
    struct conn *c = LIST_ENTRY(l->spare_conns.next, struct conn, idle);
    list_remove(&c->idle);
    l->spare_count--;
    return c;
}

void conn_free(struct conn *c)
{
    struct server_loop *l = c->home;
    if (l->spare_count == SPARE) {
        free(c);
        return;
    }
    list_add_first(&l->spare_conns, &c->idle);
    l->spare_count++;
}

void conn_close(struct conn *c)
{
    struct server_loop *l = c->home;
    struct addr peer;
    park_forget(&c->parked);
    stream_close(c->stream);
    if (c->flags & CONN_COUNTED) {
        conn_peer(c, &peer);
        clients_leave(l->server->clients, &peer);
    }
    l->open--;
    atomic_fetch_sub_explicit(&l->server->open, 1, memory_order_relaxed);
    stat_add(STAT_CONNECTIONS_OPEN, -1);
    conn_free(c);
    if (l->server->o.serial)
        waitq_wake(&l->turn, 1);
}

static void settle_fiber(void *arg)
{
    struct conn *c = arg;
    err_t e = io_settle(c->tcp.fd, now() + c->home->server->o.body_timeout);
    (void)e; /* it is gone, or it does not read */
    conn_close(c);
}

static void conn_woken(struct parked *p, enum park_why why)
{
    struct conn *c = LIST_ENTRY(p, struct conn, parked);
    list_remove(&c->idle);
    /* Who was idle for too long and who drains wait for what the client has not taken yet. No fiber to be had: under
       such a load, one connection less is the right answer. */
    bool ready = why == PARK_READY, go_on = ready || io_unsent(p->fd);
    if (!go_on || scope_spawn(loop_scope(loop_self()), "http", ready ? conn_fiber : settle_fiber, c))
        conn_close(c);
}

void conn_park(struct conn *c)
{
    const struct server_options *o = &c->home->server->o;
    c->parked.fd = c->tcp.fd;
    c->parked.ahead = c->stream == &c->tcp.stream && !(c->flags & CONN_FRESH); /* h1_serve reads before all else */
    c->parked.until = now() + (c->requests ? o->idle_timeout : o->header_timeout);
    c->parked.wake = conn_woken;
    list_add_last(&c->home->idle, &c->idle);
    park_enter(&c->parked);
}

/* What stands over the socket: TLS, and the trace of what passes. */
static err_t set_up(struct conn *c)
{
    struct site_use *u = site_take(c->home);
    struct stream *plain = c->stream;
    err_t e = NULL;
    c->flags = (uint8_t)(c->flags & ~CONN_FRESH);
    if (u->site->tls) {
        c->stream = NULL;
        e = stream_tls_server(plain, u->site->tls, &c->stream, now() + c->home->server->o.header_timeout);
        c->flags |= CONN_SECURE;
    }
    site_give(u);
    if (!e)
        c->stream = stream_trace(c->stream, c->home->server->o.trace, 'S', TRACE_HTTP);
    return e;
}

/* What they were told last has been sent by now; only who did not take all of it needs a fiber to wait in. */
static void all_leave(struct note *n)
{
    struct server_loop *l = LIST_ENTRY(n, struct server_loop, leave);
    while (!list_empty(&l->leaving)) {
        struct conn *c = LIST_ENTRY(l->leaving.next, struct conn, idle);
        list_remove(&c->idle);
        if (!io_unsent(c->tcp.fd) || scope_spawn(loop_scope(loop_self()), "settle", settle_fiber, c))
            conn_close(c);
    }
}

static void conn_end(struct conn *c)
{
    struct server_loop *l = c->home;
    if (!c->stream || !io_unsent(c->tcp.fd)) {
        conn_close(c);
        return;
    }
    if (list_empty(&l->leaving))
        loop_later(&l->leave);
    list_add_last(&l->leaving, &c->idle);
}

void conn_fiber(void *arg)
{
    struct conn *c = arg;
    enum conn_next next = CONN_CLOSE;
    if (!(c->flags & CONN_FRESH) || !set_up(c))
        next = h1_serve(c);
    if (next == CONN_PARK && !c->home->draining && !fiber_canceled())
        conn_park(c);
    else
        conn_end(c);
}

struct conn *conn_new(struct server_loop *l, int fd, const struct addr *peer, const struct listen_point *p)
{
    struct conn *c = conn_take(l);
    if (!c)
        return NULL;
    *c = (struct conn){.home = l, .point = p};
    list_init(&c->idle);
    stream_tcp_init(&c->tcp, fd);
    c->stream = &c->tcp.stream;
    memcpy(&c->peer, &peer->sa, peer->len < sizeof c->peer ? peer->len : sizeof c->peer);
    if (peer->len == 0 || p->addr.sa.sa_family == AF_UNIX)
        c->peer.sa.sa_family = AF_UNIX;
    return c;
}

void conn_home_init(struct server_loop *l)
{
    list_init(&l->idle);
    list_init(&l->leaving);
    list_init(&l->spare_conns);
    l->leave.run = all_leave;
}

void conn_home_done(struct server_loop *l)
{
    while (l->spare_count)
        free(conn_take(l));
}
