/* SPDX-License-Identifier: MIT */
#include "http/server.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "base/stat.h"
#include "http/clients.h"
#include "http/conn.h"
#include "rt/io.h"
#include "rt/loop.h"
#include "rt/worker.h"

enum {
    ACCEPT = 64,   /* connections let in before the first of them is served */
    EVICT = 32,    /* idle connections closed at once when descriptors or connections run out */
    UNHEARD = 32,  /* reads of what somebody says who is turned away */
    RETRY_MS = 50, /* until the next try when none could be closed */
};

/* ---- Sites ---- */

static void site_unref(struct site *s)
{
    if (atomic_fetch_sub(&s->refs, 1) == 1 && s->free)
        s->free(s);
}

static err_t use_new(struct site *s, struct site_use **out)
{
    struct site_use *u = calloc(1, sizeof *u);
    if (!u)
        return E_NO_MEMORY;
    atomic_fetch_add(&s->refs, 1);
    u->site = s;
    *out = u;
    return NULL;
}

static void use_drop(struct site_use *u)
{
    if (u->active || !u->retired)
        return;
    site_unref(u->site);
    free(u);
}

struct site_use *site_take(struct server_loop *l)
{
    l->use->active++;
    return l->use;
}

void site_give(struct site_use *u)
{
    u->active--;
    use_drop(u);
}

struct swap {
    struct server *server;
    struct site_use **fresh;
};

static void swap_here(void *arg, int index)
{
    struct swap *s = arg;
    struct server_loop *l = &s->server->loops[index];
    l->use->retired = true;
    use_drop(l->use);
    l->use = s->fresh[index];
}

void server_swap(struct server *s, struct site *site)
{
    struct swap swap = {s, calloc((size_t)s->workers, sizeof(struct site_use *))};
    err_t e = swap.fresh ? NULL : E_NO_MEMORY;
    atomic_fetch_add(&site->refs, 1); /* ours, while the workers take theirs */
    for (int i = 0; i < s->workers && !e; i++)
        e = use_new(site, &swap.fresh[i]);
    if (!e)
        worker_each(swap_here, &swap);
    else
        log_line(LOG_ERROR, "the old configuration stays: %s", e->text);
    for (int i = 0; i < s->workers && e && swap.fresh; i++)
        if (swap.fresh[i]) {
            swap.fresh[i]->retired = true;
            use_drop(swap.fresh[i]);
        }
    free(swap.fresh);
    site_unref(site);
}

/* ---- Limits ---- */

/* Those that have been idle longest make room. Returns how many. */
static int evict(struct server_loop *l)
{
    int n = 0;
    for (; n < EVICT && !list_empty(&l->idle); n++) {
        struct conn *c = LIST_ENTRY(l->idle.next, struct conn, idle);
        list_remove(&c->idle);
        conn_close(c);
    }
    return n;
}

/* One more connection, if it may be. */
static bool admit(struct server_loop *l, struct conn *c)
{
    struct server *s = l->server;
    struct addr peer;
    uint64_t open = atomic_fetch_add_explicit(&s->open, 1, memory_order_relaxed);
    bool ok = s->o.max_connections == 0 || open < s->o.max_connections || evict(l) > 0;
    if (ok && s->clients && (s->o.limit_loopback || !conn_peer_local(c))) {
        conn_peer(c, &peer);
        ok = clients_enter(s->clients, &peer, s->o.max_connections_per_client);
        c->flags |= ok ? CONN_COUNTED : 0;
    }
    if (!ok)
        atomic_fetch_sub_explicit(&s->open, 1, memory_order_relaxed);
    return ok;
}

/* Too many: say so in one write that never waits, and hang up. */
static void turn_away(struct conn *c, bool secure)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\n"
                                 "Content-Type: text/plain\r\nContent-Length: 21\r\n\r\ntoo many connections\n";
    char sink[512];
    size_t n = 1;
    stat_add(STAT_CONNECTIONS_REFUSED, 1);
    if (!secure) {
        err_t e = NULL; /* unread bytes would turn the answer into a reset */
        for (int i = 0; i < UNHEARD && n && !e; i++)
            e = io_read_now(c->tcp.fd, sink, sizeof sink, &n);
        if (!e || e == E_TIMEOUT)
            e = io_write_now(c->tcp.fd, answer, sizeof answer - 1, &n);
        (void)e;
    }
    stream_close(c->stream);
    conn_free(c);
}

/* ---- Accepting ---- */

static void welcome(struct conn *c)
{
    struct server_loop *l = c->home;
    bool secure = l->use->site->tls != NULL;
    if (!admit(l, c)) {
        turn_away(c, secure);
        return;
    }
    l->open++;
    stat_add(STAT_CONNECTIONS_ACCEPTED, 1);
    stat_add(STAT_CONNECTIONS_OPEN, 1);
    if (secure || l->server->o.trace)
        c->flags |= CONN_FRESH;
    if (secure) {
        conn_park(c); /* until the client has said something */
    } else if (scope_run(loop_scope(loop_self()), "http", conn_fiber, c)) {
        conn_close(c);
    }
}

/* Out of descriptors or memory: make room, or wait until somebody leaves. Other errors are those of a connection that
   broke while it stood in line (accept(2)); none of them may end the accepting. */
static err_t recover(struct server_loop *l, err_t e)
{
    static _Thread_local tick warned;
    bool full = e == E_NO_FDS || e == E_NO_MEMORY;
    if (now() - warned > 10 * TICK_S || !warned) {
        warned = now();
        log_line(LOG_WARN, "cannot accept: %s%s", e->text, full ? "; closing idle connections" : "");
    }
    return full && evict(l) ? fiber_yield() : fiber_sleep(after(RETRY_MS));
}

struct acceptor {
    struct server_loop *loop;
    const struct listen_point *point;
    int fd;
};

static void take_in(const struct acceptor *a, int fd, const struct addr *peer, struct list *line)
{
    struct conn *c = conn_new(a->loop, fd, peer, a->point);
    if (c)
        list_add_last(line, &c->idle);
    else
        io_close(fd);
}

static void welcome_all(struct list *line)
{
    while (!list_empty(line)) {
        struct conn *c = LIST_ENTRY(line->next, struct conn, idle);
        list_remove(&c->idle);
        welcome(c);
    }
}

/* Some are let in in a row, then served in a row: each half has its code in the processor's cache (rt/outbox.h). */
static err_t accept_some(struct acceptor *a)
{
    struct server_loop *l = a->loop;
    struct list line;
    struct addr peer;
    int fd;
    list_init(&line);
    while (l->server->o.serial && l->open)
        TRY(waitq_wait(&l->turn, TICK_NEVER));
    err_t e = io_accept(a->fd, &fd, &peer, TICK_NEVER);
    if (e)
        return e == E_CANCELED ? e : recover(l, e);
    take_in(a, fd, &peer, &line);
    for (int n = 1; n < ACCEPT && !l->server->o.serial && !io_accept_now(a->fd, &fd, &peer); n++)
        take_in(a, fd, &peer, &line);
    welcome_all(&line);
    return NULL;
}

static void accept_fiber(void *arg)
{
    struct acceptor a = *(struct acceptor *)arg;
    free(arg);
    while (!accept_some(&a))
        continue;
    /* Draining: who stands in line already is still served, told of or not, and nobody else gets in. */
    struct list line;
    struct addr peer;
    list_init(&line);
    io_forget(a.fd);
    for (int fd; !io_accept_now(a.fd, &fd, &peer);)
        take_in(&a, fd, &peer, &line);
    welcome_all(&line);
    listen_stop(a.point, worker_index());
}

/* Keeps the loop turning, and the acceptors within reach of the drain. */
static void server_fiber(void *arg)
{
    struct server_loop *l = arg;
    err_t e = scope_join(&l->accepting, TICK_NEVER);
    (void)e; /* canceled: the acceptors are, too */
    l->draining = true;
    scope_close(&l->accepting);
}

static void loop_init(struct server_loop *l, struct server *s)
{
    l->server = s;
    conn_home_init(l);
    waitq_init(&l->turn);
}

err_t server_listen(struct server *s, const struct listen_point *p)
{
    struct server_loop *l = &s->loops[worker_index()];
    struct acceptor *a = malloc(sizeof *a);
    if (!a)
        return E_NO_MEMORY;
    *a = (struct acceptor){l, p, listen_fd(p, worker_index())};
    if (!l->started) {
        scope_open(&l->accepting);
        io_expect_many();
    }
    err_t e = scope_spawn(&l->accepting, "accept", accept_fiber, a);
    if (e) {
        free(a);
        return e;
    }
    if (!l->started)
        e = scope_spawn(loop_scope(loop_self()), "server", server_fiber, l);
    l->started = true;
    return e;
}

void server_drain(struct server *s)
{
    struct server_loop *l = &s->loops[worker_index()];
    l->draining = true;
    if (l->started)
        scope_cancel(&l->accepting);
}

/* ---- Making and freeing ---- */

static void set_default(int64_t *v, int64_t value)
{
    if (*v == 0)
        *v = value;
}

static void fill_in(struct server_options *o)
{
    if (o->max_header == 0)
        o->max_header = 32 << 10;
    if (o->max_body == 0)
        o->max_body = UINT64_C(1) << 30;
    set_default(&o->header_timeout, 20 * TICK_S);
    set_default(&o->body_timeout, 60 * TICK_S);
    set_default(&o->idle_timeout, 75 * TICK_S);
}

err_t server_new(const struct server_options *o, int workers, struct site *site, struct server **out)
{
    struct server *s = calloc(1, sizeof *s);
    err_t e = s && (s->loops = calloc((size_t)workers, sizeof *s->loops)) ? NULL : E_NO_MEMORY;
    if (!e) {
        s->o = *o;
        s->workers = workers;
        fill_in(&s->o);
        if (o->max_connections_per_client)
            e = clients_new(&s->clients);
    }
    for (int i = 0; i < workers && !e; i++) {
        loop_init(&s->loops[i], s);
        e = use_new(site, &s->loops[i].use);
    }
    if (e)
        server_free(s);
    else
        *out = s;
    return e;
}

void server_free(struct server *s)
{
    if (!s)
        return;
    for (int i = 0; s->loops && i < s->workers; i++) {
        h1_work_trim(&s->loops[i].spare, 0);
        buf_free(&s->loops[i].log_line);
        if (!s->loops[i].use)
            continue;
        s->loops[i].use->retired = true;
        use_drop(s->loops[i].use);
        conn_home_done(&s->loops[i]);
    }
    clients_free(s->clients);
    free(s->loops);
    free(s);
}
