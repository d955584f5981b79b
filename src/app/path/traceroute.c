/* SPDX-License-Identifier: MIT */
#include "app/path/traceroute.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/text.h"
#include "net/resolve.h"
#include "net/udp.h"
#include "rt/loop.h"

enum { BATCH = 4, NAME = 256, SEND_TRIES = 16 };
static const tick NAME_WAIT = 2 * TICK_S;

enum state { UNSENT, WAITING, ANSWERED, SILENT, UNSENDABLE };
struct query {
    enum state state;
    tick sent, due;
    int64_t wall, stamp; /* the user clock's and the kernel's time of sending */
    int64_t rtt;
    struct addr from;
    uint8_t type, code;
    bool final;  /* no hop lies behind this answer */
    bool target; /* it came from the host itself */
};

struct run {
    const struct trace_conf *c;
    int fd;
    struct udp_batch *batch;
    struct query *queries; /* hop by hop, c->queries each */
    int count, next, under_way, ids;
    int *by_id;   /* which query the n-th datagram was */
    int last_hop; /* index of the hop that ended the path, or the last one allowed */
    char payload[TRACE_SIZE_MAX];
};

/* ---- Sending ---- */

static int hop_of(const struct run *r, int query)
{
    return query / r->c->queries;
}

static void on_events(struct run *r);

static void send_query(struct run *r, int k)
{
    struct query *q = &r->queries[k];
    struct datagram d = {.peer = r->c->target, .payload = slice_of(r->payload, r->c->size), .tos = -1};
    unsigned sent = 0;
    addr_set_port(&d.peer, (uint16_t)(r->c->port + k));
    d.ttl = (int16_t)(r->c->first + hop_of(r, k));
    q->state = WAITING;
    r->under_way++;
    for (int i = 0; i < SEND_TRIES && !sent; i++) {
        q->wall = clock_wall();
        q->sent = clock_now();
        q->due = q->sent + r->c->wait;
        err_t e = udp_send(r->fd, r->batch, &d, 1, &sent, q->due);
        if (!sent && e && e->kind == ERR_PEER)
            on_events(r); /* the error of an earlier probe, reported by this call */
        else if (!sent)
            break;
    }
    if (sent)
        r->by_id[r->ids++] = k;
    else
        q->state = UNSENDABLE, r->under_way--;
}

static void send_more(struct run *r)
{
    while (r->next < r->count && hop_of(r, r->next) <= r->last_hop && r->under_way < r->c->at_once)
        send_query(r, r->next++);
}

/* ---- Answers ---- */

static struct query *query_to(struct run *r, const struct addr *peer)
{
    int k = addr_port(peer) - r->c->port;
    return k >= 0 && k < r->next && r->queries[k].state == WAITING ? &r->queries[k] : NULL;
}

static void answered(struct run *r, struct query *q, const struct addr *from, int64_t wall)
{
    int hop = hop_of(r, (int)(q - r->queries));
    int64_t received = wall ? wall : clock_wall(), sent = q->stamp && wall ? q->stamp : q->wall;
    tick elapsed = clock_now() - q->sent;
    q->rtt = received - sent;
    if (q->rtt < 0 || q->rtt > elapsed + elapsed / 1000) /* the wall clock was set in between */
        q->rtt = elapsed;
    q->state = ANSWERED;
    q->from = *from;
    q->target = addr_eq_host(from, &r->c->target);
    r->under_way--;
    if (q->final && hop < r->last_hop)
        r->last_hop = hop;
}

static void on_icmp(struct run *r, const struct udp_event *ev)
{
    struct query *q = query_to(r, &ev->peer);
    bool v4 = r->c->target.sa.sa_family == AF_INET;
    if (!q || !ev->offender.len)
        return;
    q->type = ev->type, q->code = ev->code;
    q->final = ev->type != (v4 ? ICMP_TIME_EXCEEDED : ICMP6_TIME_EXCEEDED);
    answered(r, q, &ev->offender, ev->wall_ns);
}

static void on_events(struct run *r)
{
    struct udp_event ev;
    while (udp_event(r->fd, &ev) == NULL) {
        if (ev.what == UDP_EVENT_ICMP)
            on_icmp(r, &ev);
        else if (ev.id < (uint32_t)r->ids)
            r->queries[r->by_id[ev.id]].stamp = ev.wall_ns;
    }
}

/* A host that answers with data instead has been reached as well. */
static err_t drain(struct run *r)
{
    for (;;) {
        struct datagram *d;
        unsigned got = 0;
        on_events(r);
        err_t e = udp_recv(r->fd, r->batch, &d, &got, now());
        if (e == E_TIMEOUT)
            return NULL;
        if (e && e->kind != ERR_PEER)
            return e;
        for (unsigned i = 0; !e && i < got; i++) {
            struct query *q = query_to(r, &d[i].peer);
            if (q && addr_eq_host(&d[i].peer, &r->c->target)) {
                q->final = true;
                answered(r, q, &d[i].peer, d[i].wall_ns);
            }
        }
    }
}

static tick expire(struct run *r)
{
    tick next = TICK_NEVER, at = clock_now();
    for (int k = 0; k < r->next; k++) {
        struct query *q = &r->queries[k];
        if (q->state == WAITING && q->due <= at)
            q->state = SILENT, r->under_way--;
        else if (q->state == WAITING && q->due < next)
            next = q->due;
    }
    return next;
}

/* ---- Printing ---- */

/* What a destination-unreachable means beyond "here is the end", as traceroute(8) marks it. */
static const char *mark(const struct run *r, const struct query *q)
{
    bool v4 = r->c->target.sa.sa_family == AF_INET;
    static const char *const marks4[] = {" !N", " !H", " !P", "", " !F", " !S", " !U", " !W"};
    static const char *const marks6[] = {" !N", " !X", " !S", " !H", ""};
    if (!q->final || q->type != (v4 ? ICMP_DEST_UNREACH : ICMP6_DST_UNREACH))
        return "";
    if (v4)
        return q->code < sizeof marks4 / sizeof marks4[0] ? marks4[q->code] : " !X";
    return q->code < sizeof marks6 / sizeof marks6[0] ? marks6[q->code] : " !X";
}

static void name_of(const struct run *r, const struct addr *a, char out[NAME])
{
    char found[NAME];
    *out = 0;
    if (!r->c->numeric && !resolve_name(a, found, sizeof found, now() + NAME_WAIT))
        text_safe(slice_z(found), out, NAME);
    fault_clear();
}

static void print_hop(const struct run *r, int hop)
{
    const struct addr *before = NULL;
    printf("%2d ", r->c->first + hop);
    for (int i = 0; i < r->c->queries; i++) {
        const struct query *q = &r->queries[hop * r->c->queries + i];
        char host[ADDR_TEXT], name[NAME];
        if (q->state != ANSWERED) {
            printf(q->state == UNSENDABLE ? " !E" : " *");
            continue;
        }
        if (!before || !addr_eq_host(before, &q->from)) {
            name_of(r, &q->from, name);
            addr_text_host(&q->from, host);
            printf(*name ? " %s (%s) " : " %s%s ", *name ? name : host, *name ? host : "");
            before = &q->from;
        }
        printf(" %.3f ms%s ", (double)q->rtt / (double)TICK_MS, mark(r, q));
    }
    putchar('\n');
    fflush(stdout);
}

static void json_query(struct json *j, const struct run *r, const struct query *q)
{
    char host[ADDR_TEXT], name[NAME];
    json_open(j, '{');
    json_key(j, "timeout"), json_bool(j, q->state != ANSWERED);
    if (q->state == ANSWERED) {
        name_of(r, &q->from, name);
        json_key(j, "from"), json_string(j, slice_z(addr_text_host(&q->from, host)));
        if (*name)
            json_key(j, "name"), json_string(j, slice_z(name));
        json_key(j, "rtt_ns"), json_int(j, q->rtt);
        json_key(j, "clock"), json_string(j, slice_z(q->stamp ? "kernel" : "user"));
        json_key(j, "icmp_type"), json_uint(j, q->type);
        json_key(j, "icmp_code"), json_uint(j, q->code);
        json_key(j, "target"), json_bool(j, q->target);
    }
    json_close(j, '}');
}

static void print_hop_json(const struct run *r, int hop)
{
    AUTO(buf_free) struct buf b = {0};
    struct json j = json_start(&b);
    json_open(&j, '{');
    json_key(&j, "type"), json_string(&j, S("hop"));
    json_key(&j, "hop"), json_int(&j, r->c->first + hop);
    json_key(&j, "probes"), json_open(&j, '[');
    for (int i = 0; i < r->c->queries; i++)
        json_query(&j, r, &r->queries[hop * r->c->queries + i]);
    json_close(&j, ']');
    json_close(&j, '}');
    if (json_end_line(&j) == NULL)
        fwrite(b.p, 1, b.n, stdout);
    fflush(stdout);
}

/* ---- The run ---- */

static bool hop_done(const struct run *r, int hop)
{
    for (int i = 0; i < r->c->queries; i++) {
        enum state s = r->queries[hop * r->c->queries + i].state;
        if (s == UNSENT || s == WAITING)
            return false;
    }
    return true;
}

static bool hop_at_target(const struct run *r, int hop)
{
    for (int i = 0; i < r->c->queries; i++)
        if (r->queries[hop * r->c->queries + i].target)
            return true;
    return false;
}

static err_t run_turns(struct run *r)
{
    for (int hop = 0; hop <= r->last_hop;) {
        send_more(r);
        TRY(drain(r));
        tick due = expire(r);
        if (hop_done(r, hop)) {
            if (r->c->json)
                print_hop_json(r, hop);
            else
                print_hop(r, hop);
            hop++;
            continue;
        }
        err_t e = r->under_way < r->c->at_once && r->next < r->count && hop_of(r, r->next) <= r->last_hop
                      ? fiber_yield()
                      : io_wait(r->fd, IO_READ, due);
        if (e && e != E_TIMEOUT)
            return e;
    }
    return NULL;
}

static err_t run_open(struct run *r)
{
    const struct trace_conf *c = r->c;
    enum udp_flags granted;
    r->count = (c->hops - c->first + 1) * c->queries;
    r->last_hop = c->hops - c->first;
    r->queries = calloc((size_t)r->count, sizeof *r->queries);
    r->by_id = calloc((size_t)r->count, sizeof *r->by_id);
    if (!r->queries || !r->by_id)
        return E_NO_MEMORY;
    for (size_t i = 0; i < c->size; i++)
        r->payload[i] = (char)('@' + i % 32);
    TRY(udp_batch_new(BATCH, 2048, &r->batch));
    TRY(udp_open(c->target.sa.sa_family, &r->fd));
    return udp_setup(r->fd, UDP_ERRORS | UDP_TX_STAMP | UDP_RX_STAMP, &granted);
}

static void print_start(const struct trace_conf *c)
{
    char host[ADDR_TEXT];
    if (!c->json)
        printf("traceroute to %s (%s), %d hops max, %zu bytes of data\n", c->name, addr_text_host(&c->target, host),
               c->hops, c->size);
    fflush(stdout);
}

static void print_end(const struct run *r, bool reached)
{
    if (r->c->json)
        printf("{\"type\":\"end\",\"reached\":%s,\"hops\":%d}\n", reached ? "true" : "false",
               r->c->first + r->last_hop);
}

err_t traceroute(const struct trace_conf *c, bool *reached)
{
    struct run *r = calloc(1, sizeof *r);
    if (!r)
        return E_NO_MEMORY;
    r->c = c, r->fd = -1;
    print_start(c);
    err_t e = run_open(r);
    e = e ? e : run_turns(r);
    if (!e) {
        *reached = hop_at_target(r, r->last_hop);
        print_end(r, *reached);
    }
    if (r->fd >= 0)
        io_close(r->fd);
    udp_batch_free(r->batch);
    free(r->queries);
    free(r->by_id);
    free(r);
    return e;
}
