/* SPDX-License-Identifier: MIT */
/* ping_listen.c -- l7 ping listen: options to app/ping/listen.h, and what it did when it ends. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "app/ping/listen.h"
#include "base/json.h"
#include "cmd/daemon.h"
#include "cmd/verb.h"
#include "dgram/stamp_packet.h"

enum { STAMP_HIGH_PORT = 12862, RATE_USUAL = 10000 };

struct conf {
    struct daemon_conf daemon;
    struct opt_list stamp;
    bool stateful, uppercase, textbook, json;
    const char *trace, *key_file, *loss, *loss_reply, *burst_loss, *duplicate, *reorder, *rate;
    int64_t delay, jitter, seed;
    struct digest_keys keys;
    struct reflect *reflect;
    int echo_points; /* the first so many points are echo, the others STAMP */
};

#define AT(field) offsetof(struct conf, field)
static const struct opt opts[] = {
    {"stamp", 0, OPT_LIST, AT(stamp), "[ADDR]:PORT", "reflect STAMP (RFC 8762) there; repeatable", NULL, NULL, false},
    {"stateful", 0, OPT_FLAG, AT(stateful), NULL, "STAMP: number the replies, so loss is told by direction", NULL, NULL,
     false},
    {"key-file", 0, OPT_STRING, AT(key_file), "FILE", "STAMP: authenticated with the secret in FILE", NULL, NULL,
     false},
    {"rate-limit", 0, OPT_STRING, AT(rate), "N", "datagrams a second and client (10000, loopback none)", NULL, NULL,
     false},
    {"trace", 0, OPT_OPTIONAL, AT(trace), "FILE", "show each datagram as it comes and goes", NULL, NULL, false},
    {"json", 0, OPT_FLAG, AT(json), NULL, "what was done as JSON on stdout at the end", NULL, NULL, false},
    {"harm", 0, OPT_HEADING, 0, NULL, "Misbehaving on purpose, the same each run (one worker)", NULL, NULL, false},
    {"seed", 0, OPT_INT, AT(seed), "N", "of all chances below", "1", NULL, false},
    {"loss", 0, OPT_STRING, AT(loss), "P|A/B", "lose requests: 40%, or exactly 4 of each 11", NULL, NULL, false},
    {"loss-reply", 0, OPT_STRING, AT(loss_reply), "P|A/B", "lose replies instead", NULL, NULL, false},
    {"burst-loss", 0, OPT_STRING, AT(burst_loss), "P[,N]", "lose requests in bursts of N on average (4)", NULL, NULL,
     false},
    {"delay", 0, OPT_DURATION, AT(delay), "TIME", "before each reply", NULL, NULL, false},
    {"jitter", 0, OPT_DURATION, AT(jitter), "TIME", "so much more or less", NULL, NULL, false},
    {"duplicate", 0, OPT_STRING, AT(duplicate), "P|A/B", "reply twice, on loopback only", NULL, NULL, false},
    {"reorder", 0, OPT_STRING, AT(reorder), "P|A/B", "reply behind the next one", NULL, NULL, false},
    {"uppercase", 0, OPT_FLAG, AT(uppercase), NULL, "echo in upper case", NULL, NULL, false},
    {"textbook", 0, OPT_FLAG, AT(textbook), NULL, "the textbook's server: 4 of 11 lost, upper case", NULL, NULL, false},
    {NULL, 0, OPT_FLAG, 0, NULL, NULL, NULL, NULL, false}};
static const struct opt *const tables[] = {opts, daemon_opts, NULL};

static err_t ratio(const char *name, const char *text, struct impair_ratio *out)
{
    if (text && impair_ratio_parse(slice_z(text), out))
        return fault(E_USAGE, "--%s: '%s' is no share (40%%, 0.4, 4/11)", name, text);
    return NULL;
}

static err_t read_impair(const struct conf *c, struct impair_conf *i)
{
    const char *loss = !c->loss && c->textbook ? "4/11" : c->loss;
    *i = (struct impair_conf){
        .delay = c->delay, .jitter = c->jitter, .uppercase = c->uppercase || c->textbook, .seed = (uint64_t)c->seed};
    TRY(ratio("loss", loss, &i->loss));
    TRY(ratio("loss-reply", c->loss_reply, &i->loss_reply));
    TRY(ratio("duplicate", c->duplicate, &i->duplicate));
    TRY(ratio("reorder", c->reorder, &i->reorder));
    return c->burst_loss ? impair_burst_parse(slice_z(c->burst_loss), &i->burst) : NULL;
}

static err_t bind_all(struct conf *c)
{
    uint16_t port = geteuid() == 0 ? STAMP_PORT : STAMP_HIGH_PORT;
    TRY(daemon_bind(&c->daemon, &ping_listen_role, "127.0.0.1:12001", LISTEN_UDP));
    c->echo_points = c->daemon.point_count;
    for (size_t i = 0; i < c->stamp.n; i++)
        TRY(daemon_bind_more(&c->daemon, c->stamp.v[i], port, LISTEN_UDP, "stamp", NULL));
    return NULL;
}

static err_t prepare(struct conf *c, struct reflect_conf *r)
{
    *r = (struct reflect_conf){.stateful = c->stateful, .rate = RATE_USUAL};
    if (c->rate && !slice_u64(slice_z(c->rate), &r->rate))
        return fault(E_USAGE, "--rate-limit: '%s' is no number", c->rate);
    r->rate_loopback = c->rate != NULL;
    if (!c->stamp.n && (c->stateful || c->key_file))
        return fault(E_USAGE, "--stateful and --key-file go with --stamp");
    if (c->key_file) {
        TRY(digest_keys_read(c->key_file, &c->keys));
        r->keys = &c->keys;
    }
    if (c->trace)
        TRY(trace_open(c->trace, false, &r->trace));
    TRY(read_impair(c, &r->impair));
    if (impair_any(&r->impair) || c->stateful) /* one order of events, one count a session */
        c->daemon.workers = 1;
    TRY(bind_all(c));
    for (int i = 0; i < c->daemon.point_count; i++)
        r->ports[r->port_count++] = addr_port(&c->daemon.points[i].at.addr);
    return reflect_new(r, daemon_workers(&c->daemon), &c->reflect);
}

static err_t start(void *arg, int index)
{
    struct conf *c = arg;
    struct reflect_socket sockets[DAEMON_POINTS_MAX];
    int n = c->daemon.point_count;
    for (int i = 0; i < n; i++) {
        const struct listen_point *p = &c->daemon.points[i].at;
        sockets[i] = (struct reflect_socket){listen_fd(p, index), p->addr, i >= c->echo_points};
    }
    return reflect_start(c->reflect, index, sockets, (size_t)n);
}

static void drain(void *arg, int index)
{
    struct conf *c = arg;
    reflect_drain(c->reflect, index);
}

/* The truth, for whoever measured against this listener. */
static void print_counts(const struct conf *c)
{
    struct reflect_counts n = reflect_counts(c->reflect);
    const struct {
        const char *key;
        uint64_t value;
    } rows[] = {{"received", n.received},
                {"answered", n.answered},
                {"ignored", n.ignored},
                {"limited", n.limited},
                {"malformed", n.malformed},
                {"forged", n.forged},
                {"lost", n.impair.lost},
                {"lost_reply", n.impair.lost_reply},
                {"duplicated", n.impair.duplicated},
                {"reordered", n.impair.reordered},
                {"delayed", n.impair.delayed}};
    AUTO(buf_free) struct buf b = {0};
    struct json j = json_start(&b);
    json_open(&j, '{');
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_key(&j, rows[i].key), json_uint(&j, rows[i].value);
        if (!c->json && (rows[i].value || i < 2))
            fprintf(stderr, "%s%s %" PRIu64, i ? ", " : "l7 ping listen: ", rows[i].key, rows[i].value);
    }
    json_close(&j, '}');
    if (!c->json)
        fputc('\n', stderr);
    else if (json_end_line(&j) == NULL)
        fwrite(b.p, 1, b.n, stdout);
}

static int run(void *arg, int argc, char **argv)
{
    struct conf *c = arg;
    struct reflect_conf r = {0};
    (void)argc, (void)argv;
    c->daemon.role = &ping_listen_role; /* whatever fails, daemon_end says whose it was */
    err_t e = prepare(c, &r);
    if (!e)
        e = daemon_run(&c->daemon, &(struct worker_hooks){.start = start, .drain = drain, .arg = c});
    int status = daemon_end(&c->daemon, e);
    if (c->reflect)
        print_counts(c);
    reflect_free(c->reflect);
    digest_keys_free(&c->keys);
    if (r.trace)
        trace_close(r.trace);
    return status;
}

const struct opt_role ping_listen_role = {
    .tool = "ping",
    .role = "listen",
    .usage = "",
    .summary = "the pinger's server: echo, and STAMP on a port of its own",
    .tables = tables,
    .conf_size = sizeof(struct conf),
    .run = run,
    .notes = "Echo listens on 127.0.0.1:12001 by default. STAMP's port is 862, or 12862 without root.\n"
             "  l7 ping listen --textbook      l7 ping listen --stamp 127.0.0.1:12862 --stateful\n"};
