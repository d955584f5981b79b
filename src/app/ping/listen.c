/* SPDX-License-Identifier: MIT */
#include "app/ping/listen.h"

#include <netinet/ip.h>
#include <pthread.h>
#include <stdlib.h>

#include "app/ping/clients.h"
#include "app/ping/delays.h"
#include "app/ping/describe.h"
#include "base/check.h"
#include "base/log.h"
#include "base/rate.h"
#include "base/stat.h"
#include "dgram/stamp_packet.h"
#include "net/udp.h"
#include "rt/loop.h"
#include "rt/waitq.h"

enum {
    BATCH = 64,
    BUSY = 8,
    ROOM = 65536 + 320,     /* the largest datagram; not a power of two, or all buffers would share few cache sets */
    LOW_PORTS = 1024,       /* services live below; chargen and its like answer everything */
    RECEIVE_ROOM = 4 << 20, /* bytes that may wait while a worker is not scheduled */
    HASHED = 64,            /* bytes of a payload that the loop check looks at */
};
static const tick SESSION_MEMORY = 900 * TICK_S; /* REFWAIT of RFC 5357 section 4.2 */
static const tick LOOP_MEMORY = 10 * TICK_S;

struct place { /* one socket on one worker */
    struct reflect *all;
    struct reflect_worker *worker;
    struct reflect_socket socket;
    struct udp_batch *batch, *later; /* one for each of the two fibers */
    struct delays delays;
    struct waitq news; /* something was queued that is due before all else */
};

struct reflect_worker {
    struct reflect *all;
    struct scope *scope;
    struct place *places;
    size_t count;
    struct clients repeats, sessions;
    struct impair impair;
    struct reflect_counts counts;
};

struct reflect {
    struct reflect_conf conf;
    bool impaired;
    uint16_t error;       /* estimate for our stamps */
    struct rate rate;     /* of all workers: a client's datagrams may reach any of them */
    pthread_mutex_t lock; /* of `rate` */
    int workers;
    struct reflect_worker worker[];
};

/* ---- Who is answered ---- */

static bool rate_ok(struct reflect *r, const struct addr *peer, tick at)
{
    if (!r->conf.rate || (addr_is_loopback(peer) && !r->conf.rate_loopback))
        return true;
    pthread_mutex_lock(&r->lock);
    bool ok = rate_allow(&r->rate, peer, at);
    pthread_mutex_unlock(&r->lock);
    return ok;
}

static bool suspicious(const struct place *p, const struct datagram *d)
{
    uint16_t port = addr_port(&d->peer);
    const struct reflect_conf *c = &p->all->conf;
    if (d->cut || d->group || addr_is_multicast(&d->peer) ||
        (port < LOW_PORTS && !(p->socket.stamp && port == STAMP_PORT)))
        return true;
    for (size_t i = 0; i < c->port_count; i++)
        if (port == c->ports[i])
            return true;
    return false;
}

/* What stays the same when two reflectors keep answering each other: the text, or a test's sequence number. */
static bool loops(struct place *p, const struct datagram *d, tick at)
{
    struct reflect_worker *w = p->worker;
    uint64_t key = clients_key(&w->repeats, &d->peer, true);
    uint32_t same;
    if (p->socket.stamp && d->payload.n >= sizeof same)
        memcpy(&same, d->payload.p, sizeof same);
    else
        same = (uint32_t)slice_hash(slice_first(d->payload, HASHED), w->repeats.seed);
    if (!clients_loops(clients_get(&w->repeats, key, at, LOOP_MEMORY), same))
        return false;
    char text[ADDR_TEXT];
    log_line(LOG_WARN, "%s sends the same datagram over and over: another reflector? one was left unanswered",
             addr_text(&d->peer, text));
    return true;
}

static bool welcome(struct place *p, const struct datagram *d, tick at)
{
    if (suspicious(p, d) || loops(p, d, at)) {
        p->worker->counts.ignored++;
        return false;
    }
    if (!rate_ok(p->all, &d->peer, at)) {
        p->worker->counts.limited++;
        return false;
    }
    return true;
}

/* ---- STAMP ---- */

/* Is it a test packet that we may answer? */
static bool parse_test(struct place *p, const struct datagram *d, struct stamp_test *t)
{
    const struct digest_keys *keys = p->all->conf.keys;
    if (stamp_test_parse(d->payload, keys != NULL, t)) {
        p->worker->counts.malformed++;
        return false;
    }
    if (keys && !digest_hmac_is(keys->key[0], slice_first(d->payload, STAMP_COVERED), d->payload.p + STAMP_COVERED,
                                STAMP_TAG)) {
        p->worker->counts.forged++;
        return false;
    }
    return true;
}

/* The reply's number: the test's own (stateless, RFC 8762 section 4.3.1), or one of ours for the session. */
static uint32_t number(struct place *p, const struct datagram *d, const struct stamp_test *t, tick at)
{
    if (!p->all->conf.stateful)
        return t->seq;
    struct clients *sessions = &p->worker->sessions;
    uint64_t key = clients_key(sessions, &d->peer, true) ^ (uint64_t)t->ssid << 32 ^ addr_port(&p->socket.local);
    return clients_get(sessions, key, at, SESSION_MEMORY)->sequence++;
}

static void write_reply(struct place *p, const struct datagram *d, const struct stamp_test *t, tick at, char *bytes)
{
    const struct digest_keys *keys = p->all->conf.keys;
    bool auth = keys != NULL, ptp = t->error & STAMP_PTP;
    struct stamp_reply r = {.seq = number(p, d, t, at), .ssid = t->ssid, .test = *t};
    r.t2 = stamp_time(d->wall_ns ? d->wall_ns : clock_wall(), ptp);
    r.error = (uint16_t)(p->all->error | (ptp ? STAMP_PTP : 0));
    r.sender_ttl = d->ttl >= 0 ? (uint8_t)d->ttl : 0;
    r.t3 = stamp_time(clock_wall(), ptp);
    stamp_reply_format(&r, auth, bytes, stamp_size(auth));
    stamp_tlvs_reflect((uint8_t *)bytes + stamp_size(auth), d->payload.n - stamp_size(auth));
    if (auth)
        digest_hmac_append(keys->key[0], (uint8_t *)bytes, STAMP_COVERED, STAMP_TAG);
}

/* ---- Replies ---- */

/* Turn a request into its reply, in the receive buffer itself. Where the kernel said to which of our addresses it came,
   the reply leaves from that one. */
static void make_reply(struct place *p, struct datagram *d, const struct stamp_test *t, tick at)
{
    char *bytes = (char *)(uintptr_t)d->payload.p;
    if (p->socket.stamp)
        write_reply(p, d, t, at, bytes);
    else if (p->all->conf.impair.uppercase)
        impair_uppercase(bytes, d->payload.n);
    d->ttl = -1;
    d->tos = d->tos > 3 ? d->tos & ~3 : -1; /* the same class of service back; congestion marks are not ours to copy */
}

static void queue_reply(struct place *p, const struct datagram *reply, const struct impair_verdict *v)
{
    tick at = clock_now();
    bool copies = v->duplicate && addr_is_loopback(&reply->peer); /* elsewhere never more bytes than came */
    if (v->duplicate && !copies)
        p->worker->impair.counts.duplicated--;
    if (v->hold && !copies && delays_hold(&p->delays, reply, at + v->delay))
        return;
    p->worker->impair.counts.reordered += delays_add(&p->delays, reply, at + v->delay);
    if (copies)
        p->worker->impair.counts.reordered += delays_add(&p->delays, reply, at + v->delay);
}

static void trace(const struct place *p, char who, const struct datagram *d)
{
    char text[DESCRIBE_TEXT], peer[ADDR_TEXT];
    enum describe_kind kind = !p->socket.stamp ? DESCRIBE_ECHO : who == 'C' ? DESCRIBE_TEST : DESCRIBE_REPLY;
    trace_line(p->all->conf.trace, who, "%s %s", addr_text(&d->peer, peer),
               describe(d->payload, kind, p->all->conf.keys != NULL, text));
}

/* Turn one datagram into its answer; true when that is to be sent now. */
static bool answer(struct place *p, struct datagram *d, tick at)
{
    struct reflect_worker *w = p->worker;
    struct impair_verdict v = {0};
    struct stamp_test t = {0};
    w->counts.received++;
    if (p->all->conf.trace)
        trace(p, 'C', d);
    if (!welcome(p, d, at) || (p->socket.stamp && !parse_test(p, d, &t)))
        return false;
    if (p->all->impaired)
        v = impair_next(&w->impair);
    if (v.lost)
        return false;
    make_reply(p, d, &t, at);
    if (!p->all->impaired)
        return true;
    if (!v.lost_reply)
        queue_reply(p, d, &v);
    return false;
}

/* ---- Fibers ---- */

static void send_batch(struct place *p, struct udp_batch *batch, const struct datagram *d, unsigned n)
{
    for (unsigned i = 0; i < n && p->all->conf.trace; i++)
        trace(p, 'S', &d[i]);
    while (n) {
        unsigned sent = 0;
        err_t e = udp_send(p->socket.fd, batch, d, n, &sent, TICK_NEVER);
        p->worker->counts.answered += sent;
        stat_add(STAT_PING_ANSWERED, sent);
        if (!e || e == E_CANCELED)
            return;
        if (sent < n)
            sent++; /* one that cannot be sent (no route, too long) does not keep the others */
        d += sent, n -= sent;
    }
}

static void receiver(void *arg)
{
    struct place *p = arg;
    for (;;) {
        struct datagram *d = NULL;
        unsigned got = 0, n = 0;
        err_t e = udp_recv(p->socket.fd, p->batch, &d, &got, TICK_NEVER);
        if (e == E_CANCELED)
            return;
        stat_add(STAT_PING_RECEIVED, got);
        tick at = now(), before = delays_next(&p->delays);
        for (unsigned i = 0; !e && i < got; i++) {
            if (!answer(p, &d[i], at))
                continue;
            if (n < i)
                d[n] = d[i];
            n++;
        }
        /* The poller is called back for every datagram that leaves a socket which it watches, 0.3 us each: a busy one
           is taken out, and the next wait puts it back. (With impairments the other fiber may be waiting for it.) */
        if (n >= BUSY && !p->all->impaired)
            io_forget(p->socket.fd);
        send_batch(p, p->batch, d, n);
        if (delays_next(&p->delays) < before)
            waitq_wake(&p->news, -1);
    }
}

static void sender(void *arg)
{
    struct place *p = arg;
    for (;;) {
        for (struct delayed *e; (e = delays_take(&p->delays, clock_now())) != NULL; free(e))
            send_batch(p, p->later, &e->datagram, 1);
        err_t e = waitq_wait(&p->news, delays_next(&p->delays));
        if (e && e != E_TIMEOUT)
            return;
    }
}

/* A socket bound to one address of a host gets what came to that one and answers from it: the kernel need not say where
   each datagram went. connect() refuses addresses of many hosts. */
static bool one_address(const struct addr *local)
{
    bool any = local->sa.sa_family == AF_INET ? local->v4.sin_addr.s_addr == INADDR_ANY
                                              : IN6_IS_ADDR_UNSPECIFIED(&local->v6.sin6_addr);
    int fd = -1;
    if (any || addr_is_multicast(local))
        return false;
    if (udp_dial(local, &fd)) {
        fault_clear();
        return false;
    }
    io_close(fd);
    return true;
}

static err_t place_open(struct place *p)
{
    const struct reflect_socket *s = &p->socket;
    enum udp_flags want = UDP_TOS, granted;
    int ttl = STAMP_TTL, room = RECEIVE_ROOM;
    waitq_init(&p->news);
    (void)setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room); /* the system may grant less */
    if (!one_address(&s->local))
        want |= UDP_LOCAL;
    if (s->stamp) {
        want |= UDP_TTL | UDP_RX_STAMP;
        (void)setsockopt(s->fd, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
        (void)setsockopt(s->fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &ttl, sizeof ttl);
    }
    TRY(udp_setup(s->fd, want, &granted));
    TRY(udp_batch_new(BATCH, ROOM, &p->batch));
    if (!p->all->impaired)
        return NULL;
    TRY(delays_init(&p->delays));
    return udp_batch_new(1, 1, &p->later);
}

/* Owns the scope of the worker's fibers: the drain cancels that. */
static void worker_fiber(void *arg)
{
    struct reflect_worker *w = arg;
    struct scope scope;
    err_t e = NULL;
    scope_open(&scope);
    w->scope = &scope;
    for (size_t i = 0; i < w->count && !e; i++) {
        e = scope_spawn(&scope, "reflect", receiver, &w->places[i]);
        if (!e && w->all->impaired)
            e = scope_spawn(&scope, "delayed", sender, &w->places[i]);
    }
    if (!e)
        e = scope_join(&scope, TICK_NEVER);
    if (e && e != E_CANCELED)
        log_line(LOG_ERROR, "ping listen: %s", e->text);
    w->scope = NULL;
    scope_close(&scope);
}

/* ---- All workers ---- */

err_t reflect_new(const struct reflect_conf *conf, int workers, struct reflect **out)
{
    struct reflect *r = calloc(1, sizeof *r + (size_t)workers * sizeof r->worker[0]);
    if (!r)
        return E_NO_MEMORY;
    r->conf = *conf;
    r->impaired = impair_any(&conf->impair);
    r->error = stamp_error_estimate(TICK_US, false, false);
    r->workers = workers;
    pthread_mutex_init(&r->lock, NULL);
    err_t e = rate_init(&r->rate, conf->rate);
    for (int i = 0; i < workers && !e; i++) {
        struct reflect_worker *w = &r->worker[i];
        w->all = r;
        impair_init(&w->impair, &conf->impair);
        e = clients_init(&w->repeats);
        if (!e)
            e = clients_init(&w->sessions);
    }
    if (e)
        reflect_free(r);
    else
        *out = r;
    return e;
}

void reflect_free(struct reflect *r)
{
    if (!r)
        return;
    for (int i = 0; i < r->workers; i++) {
        struct reflect_worker *w = &r->worker[i];
        for (size_t k = 0; k < w->count; k++) {
            udp_batch_free(w->places[k].batch);
            udp_batch_free(w->places[k].later);
            delays_done(&w->places[k].delays);
        }
        free(w->places);
        clients_done(&w->repeats);
        clients_done(&w->sessions);
    }
    pthread_mutex_destroy(&r->lock);
    rate_done(&r->rate);
    free(r);
}

err_t reflect_start(struct reflect *r, int index, const struct reflect_socket *sockets, size_t n)
{
    CHECK(index < r->workers);
    struct reflect_worker *w = &r->worker[index];
    w->places = calloc(n, sizeof *w->places);
    if (!w->places)
        return E_NO_MEMORY;
    for (w->count = 0; w->count < n;) {
        struct place *p = &w->places[w->count];
        *p = (struct place){.all = r, .worker = w, .socket = sockets[w->count]};
        w->count++;
        TRY(place_open(p));
    }
    return scope_spawn(loop_scope(loop_self()), "reflect worker", worker_fiber, w);
}

void reflect_drain(struct reflect *r, int index)
{
    if (r->worker[index].scope)
        scope_cancel(r->worker[index].scope);
}

struct reflect_counts reflect_counts(const struct reflect *r)
{
    struct reflect_counts sum = {0};
    for (int i = 0; i < r->workers; i++) {
        const struct reflect_counts *c = &r->worker[i].counts;
        const struct impair_counts *k = &r->worker[i].impair.counts;
        sum.received += c->received, sum.answered += c->answered, sum.ignored += c->ignored;
        sum.limited += c->limited, sum.malformed += c->malformed, sum.forged += c->forged;
        sum.impair.seen += k->seen, sum.impair.lost += k->lost, sum.impair.lost_reply += k->lost_reply;
        sum.impair.duplicated += k->duplicated, sum.impair.reordered += k->reordered;
        sum.impair.delayed += k->delayed;
    }
    return sum;
}
