/* SPDX-License-Identifier: MIT */
#include "app/ping/ping.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "app/ping/describe.h"
#include "app/ping/report.h"
#include "base/check.h"
#include "base/random.h"
#include "dgram/ping_packet.h"
#include "dgram/stamp_packet.h"
#include "net/udp.h"
#include "net/udp_warm.h"
#include "rt/loop.h"

enum { BATCH = 8 };
static const tick FLOOD_GAP = 10 * TICK_MS, LAZY_MOST = 10 * TICK_MS, LIVE_EVERY = 200 * TICK_MS;

/* ---- Opening ---- */

static err_t set_number(int fd, const struct addr *a, int name4, int name6, int value)
{
    bool v4 = a->sa.sa_family == AF_INET;
    if (value >= 0 && setsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? name4 : name6, &value, sizeof value) < 0)
        return fault(E_USAGE, "the system refuses %d as TTL or TOS", value);
    return NULL;
}

static err_t host_dial(struct ping_host *h)
{
    const struct ping_conf *c = h->conf;
    enum udp_flags want = UDP_TTL | UDP_TOS | UDP_RX_STAMP | UDP_TX_STAMP | UDP_ERRORS, granted = 0;
    addr_text(&h->addr, h->text);
    TRY(probes_init(&h->probes));
    TRY(udp_dial(&h->addr, &h->fd));
    TRY(udp_setup(h->fd, want | (c->no_fragment ? UDP_NO_FRAGMENT : 0), &granted));
    h->lazy = granted & UDP_RX_STAMP && c->interval <= LAZY_MOST && !c->flood;
    TRY(set_number(h->fd, &h->addr, IP_TTL, IPV6_UNICAST_HOPS, c->ttl));
    return set_number(h->fd, &h->addr, IP_TOS, IPV6_TCLASS, c->tos);
}

static err_t host_open(struct ping_host *h)
{
    const struct ping_conf *c = h->conf;
    h->fd = -1;
    TRY(histogram_init(&h->rtt));
    h->packet = malloc(c->size + 1);
    if (!h->packet || (!(h->points = calloc(PING_POINTS, sizeof *h->points)) && (c->svg || c->live)))
        return E_NO_MEMORY;
    TRY(udp_batch_new(BATCH, PING_SIZE_MAX, &h->batch));
    h->ssid = (uint16_t)(random_u64() | 1); /* 0 means that there is none */
    return host_dial(h);
}

/* Nobody listens at this address; the name has more. */
static err_t host_next_address(struct ping_host *h)
{
    io_close(h->fd);
    h->fd = -1;
    probes_done(&h->probes);
    h->addr = h->others[0];
    memmove(&h->others[0], &h->others[1], --h->other_count * sizeof h->others[0]);
    h->fate = NULL;
    return host_dial(h);
}

/* ---- Sending ---- */

static void format(struct ping_host *h, uint64_t seq, int64_t wall)
{
    const struct ping_conf *c = h->conf;
    if (!c->stamp) {
        ping_packet_format(seq, wall, c->fill, h->packet, c->size);
        return;
    }
    bool auth = c->keys != NULL;
    struct stamp_test t = {.seq = (uint32_t)(seq - 1), .t1 = stamp_time(wall, c->ptp), .ssid = h->ssid};
    t.error = stamp_error_estimate(TICK_US, false, c->ptp); /* of the stamp; how true the clock is, nobody told us */
    stamp_test_format(&t, auth, h->packet, c->size);
    if (auth)
        digest_hmac_append(c->keys->key[0], (uint8_t *)h->packet, STAMP_COVERED, STAMP_TAG);
}

static void add_point(struct ping_host *h, tick sent, double ms)
{
    if (h->points)
        h->points[h->point_count++ % PING_POINTS] = (struct ping_point){(double)(sent - h->start) / (double)TICK_S, ms};
}

static void on_event(struct ping_host *h, const struct udp_event *ev);
static bool on_events(struct ping_host *h);

static void trace(const struct ping_host *h, char who, struct slice payload)
{
    char text[DESCRIBE_TEXT];
    enum describe_kind kind = !h->conf->stamp ? DESCRIBE_ECHO : who == 'C' ? DESCRIBE_TEST : DESCRIBE_REPLY;
    if (h->conf->trace)
        trace_line(h->conf->trace, who, "%s %s", h->text, describe(payload, kind, h->conf->keys != NULL, text));
}

static void send_probe(struct ping_host *h)
{
    udp_warm(h->warm, clock_now());
    int64_t wall = clock_wall();
    tick at = clock_now();
    unsigned sent = 0;
    struct datagram d = {.payload = slice_of(h->packet, h->conf->size), .ttl = -1, .tos = -1};
    format(h, h->probes.next, wall);
    trace(h, 'C', d.payload);
    struct probe *p = probes_sent(&h->probes, wall, at, at + h->conf->timeout);
    err_t e = udp_send(h->fd, h->batch, &d, 1, &sent, at + h->conf->interval);
    if (sent == 0 && e && e->kind == ERR_PEER) { /* the error of an earlier probe, reported by this call */
        on_events(h);
        if (!h->fate)
            e = udp_send(h->fd, h->batch, &d, 1, &sent, at + h->conf->interval);
    }
    struct udp_event ev; /* the stamp is there already unless a queue or a device holds the packet: spare a wake-up */
    if (sent == 1 && udp_event(h->fd, &ev) == NULL)
        on_event(h, &ev);
    if (sent == 1)
        return;
    probes_not_sent(&h->probes, p);
    if (e && e != E_CANCELED && !h->fate)
        report_failed(h, p, e);
}

/* Sending times are start + k * interval: no drift. Those that passed unused are counted, not made up for. */
static void send_due(struct ping_host *h)
{
    tick interval = h->conf->flood && h->conf->interval < FLOOD_GAP ? FLOOD_GAP : h->conf->interval, at = clock_now();
    if (at < h->next_send)
        return;
    send_probe(h);
    if (h->conf->flood) {
        h->next_send = at + interval;
        return;
    }
    h->next_send += interval;
    if (at >= h->next_send) {
        tick behind = (at - h->next_send) / interval + 1;
        h->missed += (uint64_t)behind;
        h->next_send += behind * interval;
    }
}

static bool all_sent(const struct ping_host *h)
{
    return h->fate || (h->conf->count && h->probes.next > (uint64_t)h->conf->count);
}

/* ---- Receiving ---- */

/* To which probe does the reply belong? False when it is none of ours. */
static bool match(struct ping_host *h, const struct datagram *d, struct probe_verdict *v, struct stamp_reply *r)
{
    bool auth = h->conf->keys != NULL;
    if (!h->conf->stamp) {
        struct ping_echo e = ping_packet_parse(d->payload);
        *v = probes_answer(&h->probes, e.has_seq ? e.seq : 0, e.has_time ? e.wall_us : -1);
        return v->what != ANSWER_FOREIGN;
    }
    if (stamp_reply_parse(d->payload, auth, r) || (r->ssid && r->ssid != h->ssid)) {
        h->probes.count.foreign++;
        return false;
    }
    struct slice covered = slice_first(d->payload, STAMP_COVERED);
    if (auth && !digest_hmac_is(h->conf->keys->key[0], covered, d->payload.p + STAMP_COVERED, STAMP_TAG)) {
        h->forged++;
        return false;
    }
    struct probe *p = probes_find(&h->probes, (uint64_t)r->test.seq + 1);
    if (!p || stamp_time(p->wall, h->conf->ptp) != r->test.t1) {
        h->probes.count.foreign++;
        return false;
    }
    *v = probes_answer(&h->probes, p->seq, -1);
    return true;
}

static void on_datagram(struct ping_host *h, const struct datagram *d)
{
    struct stamp_reply r;
    struct ping_reply reply = {.bytes = d->payload.n, .ttl = d->ttl, .tos = d->tos};
    trace(h, 'S', d->payload);
    if (!match(h, d, &reply.verdict, &r))
        return;
    struct probe *p = reply.verdict.probe;
    if (!p->stamp)
        on_events(h);
    reply.probe = p;
    reply.kernel = p->stamp && d->wall_ns;
    int64_t received = d->wall_ns ? d->wall_ns : clock_wall(), sent = p->stamp ? p->stamp : p->wall;
    tick elapsed = clock_now() - p->sent;
    reply.rtt = received - sent;
    if (reply.rtt < 0 || reply.rtt > elapsed + elapsed / 1000) /* the wall clock was set in between */
        reply.rtt = elapsed, reply.kernel = false;
    struct stamp_times t;
    if (h->conf->stamp) {
        bool ptp = r.error & STAMP_PTP;
        t = (struct stamp_times){sent, stamp_wall(r.t2, ptp), stamp_wall(r.t3, ptp), sent + reply.rtt, r.test.seq,
                                 r.seq};
        reply.stamp = &t;
        reply.rtt = stamp_stats_rtt(&t);
    }
    if (reply.verdict.what == ANSWER_FIRST) {
        histogram_add(&h->rtt, reply.rtt);
        h->user_times += !reply.kernel;
        h->last_answer = clock_now();
        add_point(h, p->sent, (double)reply.rtt / (double)TICK_MS);
        if (h->conf->stamp)
            stamp_stats_add(&h->stamp, &t);
    }
    report_reply(h, &reply);
    if (h->conf->flood && reply.verdict.what == ANSWER_FIRST)
        h->next_send = 0;
}

static struct probe *complained_about(struct ping_host *h, const struct udp_event *ev)
{
    struct stamp_test t;
    if (!h->conf->stamp) {
        struct ping_echo e = ping_packet_parse(ev->payload);
        if (e.has_seq)
            return probes_find(&h->probes, e.seq);
    } else if (!stamp_test_parse(ev->payload, false, &t)) {
        return probes_find(&h->probes, (uint64_t)t.seq + 1);
    }
    return probes_oldest_waiting(&h->probes);
}

static void on_icmp(struct ping_host *h, const struct udp_event *ev)
{
    struct probe *p = complained_about(h, ev);
    if (p)
        probes_fail(&h->probes, p);
    report_icmp(h, ev, p);
    if (err_errno(ev->error) == E_REFUSED)
        h->fate = E_REFUSED; /* nobody listens there, and nobody will just because we keep asking */
}

static void on_event(struct ping_host *h, const struct udp_event *ev)
{
    if (ev->what == UDP_EVENT_STAMP)
        probes_stamp(&h->probes, ev->id, ev->wall_ns);
    else
        on_icmp(h, ev);
}

/* True when there were any. */
static bool on_events(struct ping_host *h)
{
    struct udp_event ev;
    bool any = false;
    for (; udp_event(h->fd, &ev) == NULL; any = true)
        on_event(h, &ev);
    return any;
}

/* Take in what has come. As long as replies come and find their send stamps, the error queue is not asked: each system
   call here is paid for by every probe. */
static err_t drain(struct ping_host *h)
{
    for (;;) {
        struct datagram *d;
        unsigned got = 0;
        err_t e = udp_recv(h->fd, h->batch, &d, &got, -1); /* never waits, so the poller need not watch it yet */
        bool told = e && on_events(h);
        if (e == E_TIMEOUT)
            return NULL;
        if (e && e->kind != ERR_PEER && !told) /* else it is what the error queue has just told */
            return e;
        for (unsigned i = 0; !e && i < got; i++)
            on_datagram(h, &d[i]);
        if (!e && got < BATCH)
            return NULL;
    }
}

/* ---- One host ---- */

static tick least(tick a, tick b)
{
    return a < b ? a : b;
}

/* Until something comes or there is something to do. At short intervals replies may lie until the next probe goes out:
   the kernel has stamped them, and one wake-up a probe instead of two is half of what a probe costs. */
static err_t wait_turn(struct ping_host *h, tick wake)
{
    if (all_sent(h))
        return io_wait(h->fd, IO_READ, wake);
    return h->lazy ? fiber_sleep(least(wake, h->next_send)) : io_wait(h->fd, IO_READ, least(wake, h->next_send));
}

static err_t host_turns(struct ping_host *h)
{
    const struct ping_conf *c = h->conf;
    tick deadline = c->deadline ? h->start + c->deadline : TICK_NEVER;
    for (;;) {
        if (!all_sent(h))
            send_due(h);
        if (probes_due(&h->probes) <= clock_now())
            on_events(h); /* an error is better than a timeout */
        for (struct probe *p; !h->fate && (p = probes_expire(&h->probes, clock_now())) != NULL;) {
            add_point(h, p->sent, NAN);
            report_timeout(h, p);
        }
        tick due = probes_due(&h->probes), wake = least(due, deadline);
        if (h->fate || (all_sent(h) && due == TICK_NEVER) || clock_now() >= deadline)
            return NULL;
        err_t e = wait_turn(h, wake);
        if (e && e != E_TIMEOUT)
            return e;
        if (!e)
            TRY(drain(h));
    }
}

static void host_fiber(void *arg)
{
    struct ping_host *h = arg;
    h->start = h->next_send = h->last_answer = clock_now();
    err_t e = host_turns(h);
    while (!e && h->fate == E_REFUSED && h->other_count && !h->probes.count.received) {
        e = host_next_address(h);
        h->start = h->next_send = clock_now();
        report_start(h);
        e = e ? e : host_turns(h);
    }
    if (e && e != E_CANCELED) {
        h->fate = e;
        report_failed(h, NULL, e);
    }
    h->end = clock_now();
}

/* ---- All hosts ---- */

struct live {
    const struct ping_host *hosts;
    size_t n;
};

static err_t live_draw(const struct live *l, bool first)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    AUTO(buf_free) struct buf out = {0};
    (void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    int rows = size.ws_row > 22  ? 20
               : size.ws_row > 8 ? size.ws_row - 2
                                 : 6,
        columns = size.ws_col > 20 ? size.ws_col : 80;
    if (!first)
        TRY(buf_format(&out, "\x1b[%dA\x1b[J", rows));
    TRY(report_plot(l->hosts, l->n, columns - 1, rows, &out));
    fwrite(out.p, 1, out.n, stdout);
    fflush(stdout);
    return NULL;
}

static void live_fiber(void *arg)
{
    for (bool first = true;; first = false)
        if (live_draw(arg, first) || fiber_sleep(now() + LIVE_EVERY))
            return;
}

static err_t all_turns(struct ping_host *hosts, size_t n, struct scope *scope)
{
    struct scope drawing;
    struct live live = {hosts, n};
    bool draw = hosts->conf->live && hosts->conf->output == PING_TEXT;
    scope_open(&drawing);
    err_t e = draw ? scope_spawn(&drawing, "live", live_fiber, &live) : NULL;
    for (size_t i = 0; i < n && !e; i++) {
        report_start(&hosts[i]);
        e = scope_spawn(scope, "ping", host_fiber, &hosts[i]);
    }
    if (!e)
        e = scope_join(scope, TICK_NEVER);
    scope_close(&drawing);
    if (draw && live_draw(&live, false))
        return E_NO_MEMORY;
    return e;
}

err_t ping_run(struct ping_host *hosts, size_t n)
{
    struct scope scope;
    struct udp_warm warm;
    CHECK(n > 0);
    for (size_t i = 0; i < n; i++) {
        TRY(host_open(&hosts[i]));
        hosts[i].warm = &warm;
    }
    (void)prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0); /* by default the kernel wakes us up to 50 us late */
    udp_warm_open(&warm, hosts[0].addr.sa.sa_family);
    scope_open(&scope);
    err_t e = all_turns(hosts, n, &scope);
    scope_close(&scope);
    udp_warm_close(&warm);
    for (size_t i = 0; i < n; i++)
        report_summary(&hosts[i]);
    err_t files = report_files(hosts, n);
    return files ? files : e;
}

void ping_free(struct ping_host *hosts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct ping_host *h = &hosts[i];
        if (h->fd > 0)
            io_close(h->fd);
        udp_batch_free(h->batch);
        probes_done(&h->probes);
        histogram_done(&h->rtt);
        free(h->packet);
        free(h->points);
    }
}

/* The deadline came before as many answers as were asked for (ping(8), -c with -w). */
static bool cut_short(const struct ping_host *h, err_t e)
{
    return h->conf->deadline && h->conf->count && h->probes.count.received < (uint64_t)h->conf->count && !e;
}

int ping_status(const struct ping_host *hosts, size_t n, err_t e)
{
    int status = e && e != E_CANCELED ? 2 : 0;
    for (size_t i = 0; i < n && status < 2; i++) {
        const struct ping_host *h = &hosts[i];
        if (h->fate && h->fate->kind != ERR_PEER)
            status = 2;
        else if (!h->probes.count.received || cut_short(h, e))
            status = 1;
    }
    return status;
}
