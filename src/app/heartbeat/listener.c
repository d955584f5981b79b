/* SPDX-License-Identifier: MIT */
#include "app/heartbeat/listener.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "app/heartbeat/listener_port.h"
#include "base/log.h"
#include "base/random.h"
#include "base/stat.h"
#include "rt/loop.h"

enum { SOCKET_BUFFER = 32 << 20, POINTS_MAX = 32 };
#define TURN_MOST (50 * TICK_MS) /* deadlines of newcomers are looked at after so long at the latest */
#define NAP       (1 * TICK_MS)
#define NAP_RATE  2.0 /* datagrams a millisecond from which it pays to let some gather */
#define NAP_BATCH 64.0

/* ---- Who may ---- */

bool listener_trusts(const struct listener *l, const struct addr *a)
{
    if (addr_is_loopback(a))
        return true;
    for (int i = 0; i < l->conf.trust_n; i++)
        if (network_has(&l->conf.trust[i], a))
            return true;
    return false;
}

bool listener_seal_right(const struct listener *l, const struct beat_seal *seal)
{
    const struct digest_key *key = seal->sealed ? digest_keys_find(&l->keys, seal->key) : NULL;
    return key && digest_hmac_is(key, seal->covered, seal->tag.p, BEAT_TAG);
}

/* ---- One datagram ---- */

static void take_beat(struct port *p, const struct datagram *d, bool text, tick at)
{
    struct listener *l = p->l;
    struct beat b;
    if (text ? beat_parse_text(d->payload, &b) : beat_parse(d->payload, &b)) {
        stat_add(STAT_BEATS_MALFORMED, 1);
        return;
    }
    if (l->keys.n && b.seal.sealed ? !listener_seal_right(l, &b.seal) : l->keys.n && !l->conf.accept_unsigned) {
        stat_add(b.seal.sealed ? STAT_BEATS_FORGED : STAT_BEATS_UNSIGNED, 1);
        return;
    }
    if (!l->keys.n)
        b.seal.sealed = false; /* nobody has looked at it */
    static const enum stat_id counts[] = {[SENDERS_FRESH] = STAT_BEATS_FRESH,
                                          [SENDERS_REORDERED] = STAT_BEATS_REORDERED,
                                          [SENDERS_DUPLICATE] = STAT_BEATS_DUPLICATE,
                                          [SENDERS_STALE] = STAT_BEATS_STALE,
                                          [SENDERS_FULL] = STAT_BEATS_FULL};
    enum senders_verdict v = senders_beat(&l->senders, &b, &d->peer, at, d->wall_ns);
    stat_add(counts[v], 1);
    if (l->record && (v == SENDERS_FRESH || v == SENDERS_REORDERED))
        record_beat(l->record, &b, &d->peer, at);
}

static void take(struct port *p, const struct datagram *d, tick at)
{
    if (!rate_allow(&p->rate, &d->peer, at)) {
        stat_add(STAT_BEATS_LIMITED, 1);
        return;
    }
    switch (d->cut ? BEAT_NONE : beat_kind(d->payload)) {
    case BEAT_BEAT:
        take_beat(p, d, false, at);
        break;
    case BEAT_TEXT:
        take_beat(p, d, true, at);
        break;
    case BEAT_ONLINE:
        answer_online(p, d);
        break;
    case BEAT_ASK:
        answer_ask(p, d);
        break;
    default:
        stat_add(STAT_BEATS_MALFORMED, 1);
    }
}

/* ---- Receiving ---- */

/* The kernel stamps with the wall clock. A time that does not lie between when the socket was last empty and now shows
   that the clock was set in between: then the stamp is taken by the clock as it was before. If that does not fit
   either, the stamp is only good for saying that the datagram came after the one time and before the other. */
static tick arrival(const struct port *p, int64_t stamp, tick mono, int64_t wall)
{
    tick least = atomic_load_explicit(&p->drained, memory_order_relaxed), at = stamp - (wall - mono);
    if (at < least || at > mono)
        at = stamp - p->ahead;
    return !stamp || at > mono ? mono : at < least ? least : at;
}

static void take_batch(struct port *p, struct datagram *d, unsigned n)
{
    tick mono = clock_now(), last = 0;
    int64_t wall = clock_wall();
    for (unsigned i = 0; i < n; i++) {
        last = arrival(p, d[i].wall_ns, mono, wall);
        if (!d[i].wall_ns)
            d[i].wall_ns = wall;
        take(p, &d[i], last);
    }
    bool full = n == PORT_BATCH;
    tick before = atomic_load_explicit(&p->drained, memory_order_relaxed);
    double ms = (double)(mono - before) / (double)TICK_MS;
    if (!full) {
        p->per_ms += ((double)n / (ms > 0.01 ? ms : 0.01) - p->per_ms) * 0.1;
        atomic_store_explicit(&p->drained, mono, memory_order_relaxed);
        p->ahead = wall - mono;
    }
    atomic_store_explicit(&p->known, full ? last : mono, memory_order_release);
}

/* With thousands of datagrams a second, waking for each costs more than handling it. The stamps are the kernel's, so
   letting some gather for a millisecond changes no measurement. */
static tick nap_length(const struct port *p)
{
    if (p->per_ms < NAP_RATE)
        return 0;
    tick nap = (tick)(NAP_BATCH / p->per_ms * (double)TICK_MS);
    return nap < NAP ? nap : NAP;
}

static err_t receive_some(struct port *p)
{
    struct datagram *d;
    unsigned n = 0;
    err_t e = udp_recv(p->fd, p->in, &d, &n, 0);
    if (e == E_TIMEOUT) {
        tick t = clock_now();
        p->per_ms *= 0.5;
        atomic_store_explicit(&p->drained, t, memory_order_relaxed);
        atomic_store_explicit(&p->known, TICK_NEVER, memory_order_release);
        e = io_wait(p->fd, IO_READ, TICK_NEVER);
        atomic_store_explicit(&p->known, atomic_load_explicit(&p->drained, memory_order_relaxed), memory_order_release);
        return e;
    }
    TRY(e);
    take_batch(p, d, n);
    tick nap = n < PORT_BATCH ? nap_length(p) : 0;
    return nap ? fiber_sleep(clock_now() + nap) : fiber_yield();
}

static void receive(void *arg)
{
    struct port *p = arg;
    err_t e;
    do
        e = receive_some(p);
    while (e != E_CANCELED); /* anything else is one datagram's fate: an ICMP error, a lack of memory */
}

/* ---- Deadlines ---- */

/* The time up to which all that came has been handled, on every socket of every worker. */
static tick known_time(struct listener *l)
{
    tick known = clock_now();
    for (int w = 0; w < l->conf.workers; w++)
        for (int i = 0, n = atomic_load_explicit(&l->workers[w].running, memory_order_acquire); i < n; i++) {
            struct port *p = &l->workers[w].ports[i];
            tick k = atomic_load_explicit(&p->known, memory_order_acquire);
            struct pollfd waiting = {.fd = p->fd, .events = POLLIN};
            if (k == TICK_NEVER && poll(&waiting, 1, 0) > 0)
                k = atomic_load_explicit(&p->drained, memory_order_relaxed);
            known = k < known ? k : known;
        }
    return known;
}

struct deadlines {
    struct listener *l;
    int worker;
    tick publish;                /* when the gauges are brought up to date again */
    uint32_t shown[BEAT_STATES]; /* as they were last */
};

static void publish_states(struct deadlines *d, tick t)
{
    static const enum stat_id gauges[BEAT_STATES] = {[BEAT_UP] = STAT_SENDERS_UP,
                                                     [BEAT_LATE] = STAT_SENDERS_LATE,
                                                     [BEAT_DOWN] = STAT_SENDERS_DOWN,
                                                     [BEAT_STOPPED] = STAT_SENDERS_STOPPED};
    uint32_t states[BEAT_STATES];
    if (t < d->publish)
        return;
    d->publish = t + TICK_S;
    (void)senders_count(&d->l->senders, states);
    for (int i = BEAT_UP; i < BEAT_STATES; i++) {
        stat_add(gauges[i], (int64_t)states[i] - (int64_t)d->shown[i]);
        d->shown[i] = states[i];
    }
}

static void watch_deadlines(void *arg)
{
    struct deadlines *d = arg;
    struct listener *l = d->l;
    tick until;
    do {
        tick known = known_time(l), real = clock_now();
        until = real + TURN_MOST;
        for (int s = d->worker; s < SENDERS_SHARDS; s += l->conf.workers) {
            tick next = senders_turn(&l->senders, s, known);
            until = next < until ? next : until;
        }
        if (until < real + TICK_MS) /* behind: come back when some more has been read */
            until = real + TICK_MS;
        if (d->worker == 0) {
            store_mark(&l->senders.store, clock_wall());
            publish_states(d, real);
        }
    } while (!fiber_sleep(until));
}

/* ---- Starting and ending ---- */

static void changed(void *arg, const struct senders_change *c)
{
    struct listener *l = arg;
    if (c->to == BEAT_DOWN)
        stat_add(STAT_SENDERS_WENT_DOWN, 1);
    if (c->restarted)
        stat_add(STAT_SENDERS_RESTARTED, 1);
    events_add(l->events, c);
}

err_t listener_new(const struct listener_conf *conf, struct listener **out)
{
    struct listener *l = calloc(1, sizeof *l);
    if (!l)
        return E_NO_MEMORY;
    l->conf = *conf;
    l->conf.senders.changed = changed;
    l->conf.senders.arg = l;
    l->instance = random_u64();
    l->senders.store.fd = -1;
    err_t e = (l->workers = calloc((size_t)conf->workers, sizeof *l->workers)) ? NULL : E_NO_MEMORY;
    if (!e && conf->key_file)
        e = digest_keys_read(conf->key_file, &l->keys);
    if (!e && conf->record)
        e = record_open(conf->record, &l->record);
    if (!e)
        e = events_new(&conf->events, &l->events);
    if (!e)
        e = senders_open(&l->senders, &l->conf.senders, conf->state, clock_now(), clock_wall());
    if (e)
        listener_free(l);
    else
        *out = l;
    return e;
}

static err_t open_port(struct listener *l, struct port *p, int fd, struct scope *scope)
{
    enum udp_flags granted;
    int size = SOCKET_BUFFER;
    tick t = clock_now();
    *p = (struct port){.l = l, .fd = fd, .known = t, .drained = t, .ahead = clock_wall() - t, .scope = scope};
    /* As much as the kernel lets us have, with and without privileges; less is no error. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    TRY(udp_setup(fd, UDP_RX_STAMP, &granted));
    TRY(rate_init(&p->rate, l->conf.rate_limit));
    TRY(udp_batch_new(PORT_BATCH, PORT_DATAGRAM, &p->in));
    return udp_batch_new(PORT_ANSWERS, 16, &p->out);
}

/* Owns the worker's fibers until the drain. */
static void work(void *arg)
{
    struct deadlines *d = arg;
    struct listener_worker *w = &d->l->workers[d->worker];
    err_t e = NULL;
    for (int i = 0; i < w->port_n && !e; i++)
        e = scope_spawn(&w->scope, "heartbeat receive", receive, &w->ports[i]);
    if (!e)
        e = scope_spawn(&w->scope, "heartbeat deadlines", watch_deadlines, d);
    if (e && e != E_CANCELED)
        log_line(LOG_ERROR, "l7 heartbeat listen: worker %d does not run: %s", d->worker, e->text);
    if (!e)
        e = scope_join(&w->scope, TICK_NEVER);
    scope_close(&w->scope);
    free(d);
}

err_t listener_start(struct listener *l, const struct listen_point *const *points, int n, int worker)
{
    struct listener_worker *w = &l->workers[worker];
    scope_open(&w->scope);
    w->ports = calloc((size_t)n, sizeof *w->ports);
    if (!w->ports)
        return E_NO_MEMORY;
    for (int i = 0; i < n; i++) {
        /* A socket that systemd passed is one for all workers: the first one reads it. */
        if (points[i]->fd_count == 1 && worker > 0)
            continue;
        TRY(open_port(l, &w->ports[w->port_n], listen_fd(points[i], worker), &w->scope));
        w->port_n++;
    }
    atomic_store_explicit(&w->running, w->port_n, memory_order_release);
    if (worker == 0)
        TRY(events_start(l->events));
    struct deadlines *d = malloc(sizeof *d);
    if (!d)
        return E_NO_MEMORY;
    *d = (struct deadlines){.l = l, .worker = worker};
    err_t e = scope_spawn(loop_scope(loop_self()), "heartbeat", work, d);
    if (e)
        free(d);
    return e;
}

void listener_drain(struct listener *l, int worker)
{
    scope_cancel(&l->workers[worker].scope);
    if (worker == 0)
        events_stop(l->events);
}

void listener_free(struct listener *l)
{
    if (!l)
        return;
    for (int w = 0; l->workers && w < l->conf.workers; w++) {
        for (int i = 0; i < l->workers[w].port_n; i++) {
            struct port *p = &l->workers[w].ports[i];
            rate_done(&p->rate);
            udp_batch_free(p->in);
            udp_batch_free(p->out);
        }
        free(l->workers[w].ports);
    }
    free(l->workers);
    events_free(l->events);
    record_close(l->record);
    senders_close(&l->senders);
    digest_keys_free(&l->keys);
    free(l);
}
