/* SPDX-License-Identifier: MIT */
/* ping.c -- l7 ping: options and arguments to app/ping/ping.h. `l7 ping listen` is in ping_listen.c. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/ping/ping.h"
#include "app/ping/report.h"
#include "base/text.h"
#include "cmd/oneshot.h"
#include "cmd/verb.h"
#include "dgram/stamp_packet.h"
#include "net/resolve.h"
#include "rt/loop.h"

enum { HOSTS_MAX = 256, ECHO_PORT = 12001, STAMP_HIGH_PORT = 12862 };

struct conf {
    int64_t count, interval, timeout, deadline;
    uint64_t size;
    int64_t ttl, tos;
    const char *pattern;
    int path_mtu; /* 0 dont, 1 do */
    bool flood, quiet, dated, histogram, json, live, v4, v6;
    const char *svg, *hgrm;
    bool stamp, stateful, ptp;
    const char *key_file, *trace;
    /* -- made of these -- */
    int argc;
    char **argv;
    struct ping_conf ping;
    struct digest_keys keys;
    struct buf fill;
    struct ping_host *hosts;
    size_t n;
};

#define AT(field) offsetof(struct conf, field)
static const struct opt opts[] = {
    {"count", 'c', OPT_INT, AT(count), "N", "how many probes; 0: until interrupted", "10", NULL, false},
    {"interval", 'i', OPT_DURATION, AT(interval), "TIME", "between two probes", "1s", NULL, false},
    {"timeout", 'W', OPT_DURATION, AT(timeout), "TIME", "how long to wait for each answer", "1s", NULL, false},
    {"deadline", 'w', OPT_DURATION, AT(deadline), "TIME", "end then, whatever came", NULL, NULL, false},
    {"size", 's', OPT_SIZE, AT(size), "BYTES", "of data (STAMP: 44, with a key 112)", "32", NULL, false},
    {"ttl", 't', OPT_INT, AT(ttl), "N", "time to live, hop limit", NULL, NULL, false},
    {"tos", 'Q', OPT_INT, AT(tos), "N", "DSCP and ECN as one byte", NULL, NULL, false},
    {"pattern", 'p', OPT_STRING, AT(pattern), "HEX", "fill with these bytes", NULL, NULL, false},
    {"path-mtu", 'M', OPT_CHOICE, AT(path_mtu), "dont|do", "do: never fragment, say what is too big", "dont", NULL,
     false},
    {"flood", 'f', OPT_FLAG, AT(flood), NULL, "as fast as answers come, or 100 a second", NULL, NULL, false},
    {"quiet", 'q', OPT_FLAG, AT(quiet), NULL, "the summary only", NULL, NULL, false},
    {"dated", 'D', OPT_FLAG, AT(dated), NULL, "begin lines with the time", NULL, NULL, false},
    {"json", 0, OPT_FLAG, AT(json), NULL, "one JSON object a line", NULL, NULL, false},
    {"histogram", 0, OPT_FLAG, AT(histogram), NULL, "how round trips spread", NULL, NULL, false},
    {"live", 0, OPT_FLAG, AT(live), NULL, "draw them as they come", NULL, NULL, false},
    {"svg", 0, OPT_STRING, AT(svg), "FILE", "draw them into a file", NULL, NULL, false},
    {"hgrm", 0, OPT_STRING, AT(hgrm), "FILE", "percentiles for HdrHistogram's plotters", NULL, NULL, false},
    {"stamp", 0, OPT_FLAG, AT(stamp), NULL, "speak STAMP (RFC 8762): delay and loss each way", NULL, NULL, false},
    {"stateful", 0, OPT_FLAG, AT(stateful), NULL, "STAMP: the reflector numbers its replies", NULL, NULL, false},
    {"ptp", 0, OPT_FLAG, AT(ptp), NULL, "STAMP: time stamps in PTP's format", NULL, NULL, false},
    {"key-file", 0, OPT_STRING, AT(key_file), "FILE", "STAMP: authenticate with the secret in FILE", NULL, NULL, false},
    {"trace", 0, OPT_OPTIONAL, AT(trace), "FILE", "show each datagram as it goes and comes", NULL, NULL, false},
    {"ipv4", '4', OPT_FLAG, AT(v4), NULL, "IPv4 only", NULL, NULL, false},
    {"ipv6", '6', OPT_FLAG, AT(v6), NULL, "IPv6 only", NULL, NULL, false},
    {NULL, 0, OPT_FLAG, 0, NULL, NULL, NULL, NULL, false}};
static const struct opt *const tables[] = {opts, NULL};

/* ---- Options ---- */

static err_t check_numbers(const struct conf *c)
{
    if (c->count < 0)
        return fault(E_USAGE, "--count: '%lld' is negative", (long long)c->count);
    if (c->interval < TICK_MS && !c->flood)
        return fault(E_USAGE, "--interval: at least 1ms (or --flood)");
    if (c->timeout < 1)
        return fault(E_USAGE, "--timeout: there must be some");
    if (c->ttl < 0 || c->ttl > 255)
        return fault(E_USAGE, "--ttl: a number from 1 to 255");
    if (c->tos < 0 || c->tos > 255)
        return fault(E_USAGE, "--tos: a number from 0 to 255");
    if (c->size > PING_SIZE_MAX)
        return fault(E_USAGE, "--size: a datagram holds at most %d bytes", PING_SIZE_MAX);
    if (!c->stamp && (c->key_file || c->stateful || c->ptp))
        return fault(E_USAGE, "--key-file, --stateful and --ptp go with --stamp");
    return NULL;
}

static err_t prepare_stamp(struct conf *c)
{
    struct ping_conf *p = &c->ping;
    if (!c->stamp)
        return NULL;
    if (c->key_file) {
        TRY(digest_keys_read(c->key_file, &c->keys));
        p->keys = &c->keys;
    }
    if (p->size < stamp_size(p->keys != NULL))
        p->size = stamp_size(p->keys != NULL);
    if (p->ttl < 0)
        p->ttl = STAMP_TTL;
    return NULL;
}

static err_t prepare(struct conf *c)
{
    TRY(check_numbers(c));
    c->ping = (struct ping_conf){.count = c->count,
                                 .interval = c->interval,
                                 .timeout = c->timeout,
                                 .deadline = c->deadline,
                                 .size = (size_t)c->size,
                                 .ttl = c->ttl ? (int)c->ttl : -1,
                                 .tos = c->tos ? (int)c->tos : -1,
                                 .flood = c->flood,
                                 .quiet = c->quiet,
                                 .dated = c->dated,
                                 .histogram = c->histogram,
                                 .no_fragment = c->path_mtu == 1,
                                 .output = c->json ? PING_JSON : PING_TEXT,
                                 .live = c->live,
                                 .svg = c->svg,
                                 .hgrm = c->hgrm,
                                 .stamp = c->stamp,
                                 .stateful = c->stateful,
                                 .ptp = c->ptp};
    if (c->pattern) {
        if (text_hex_decode(slice_z(c->pattern), &c->fill) || !c->fill.n)
            return fault(E_USAGE, "--pattern: '%s' is no row of hexadecimal bytes", c->pattern);
        c->ping.fill = buf_slice(&c->fill);
    }
    TRY(prepare_stamp(c));
    return c->trace ? trace_open(c->trace, false, &c->ping.trace) : NULL;
}

/* ---- Hosts ---- */

static bool is_port(const char *word, uint16_t *port)
{
    uint64_t n;
    if (!slice_u64(slice_z(word), &n) || n == 0 || n > 65535)
        return false;
    *port = (uint16_t)n;
    return true;
}

/* 862 is the standard's; who runs both ends unprivileged on one machine means the port that listen takes then. */
static uint16_t usual_port(const struct conf *c, const struct addr *a)
{
    if (!c->stamp)
        return ECHO_PORT;
    return addr_is_loopback(a) && geteuid() != 0 ? STAMP_HIGH_PORT : STAMP_PORT;
}

static err_t add_host(struct conf *c, const char *name, uint16_t port)
{
    struct resolved r;
    int family = c->v4 ? AF_INET : c->v6 ? AF_INET6 : 0;
    if (c->n == HOSTS_MAX)
        return fault(E_USAGE, "more than %d hosts", HOSTS_MAX);
    TRY(resolve(slice_z(name), port, family, &r, now() + 10 * TICK_S));
    struct ping_host *h = &c->hosts[c->n++];
    *h = (struct ping_host){.conf = &c->ping, .name = name, .fd = -1};
    for (int i = 0; i < r.n; i++) {
        if (!port)
            addr_set_port(&r.v[i], usual_port(c, &r.v[i]));
        if (i && h->other_count < PING_OTHERS)
            h->others[h->other_count++] = r.v[i];
    }
    h->addr = r.v[0];
    return NULL;
}

/* HOST [PORT] [HOST [PORT]]...: a bare number behind a host is its port. */
static err_t add_hosts(struct conf *c)
{
    for (int i = 0; i < c->argc; i++) {
        uint16_t port = 0;
        const char *name = c->argv[i];
        if (i + 1 < c->argc && is_port(c->argv[i + 1], &port))
            i++;
        TRY(add_host(c, name, port));
    }
    return NULL;
}

/* ---- Running ---- */

static err_t work(void *arg)
{
    struct conf *c = arg;
    TRY(add_hosts(c));
    err_t e = ping_run(c->hosts, c->n);
    fflush(stdout);
    return e;
}

static void quit(void *arg)
{
    struct conf *c = arg;
    for (size_t i = 0; i < c->n; i++)
        report_interim(&c->hosts[i]);
}

static int run(void *arg, int argc, char **argv)
{
    struct conf *c = arg;
    int status = 2;
    c->argc = argc, c->argv = argv;
    c->hosts = calloc(HOSTS_MAX, sizeof *c->hosts);
    err_t e = c->hosts ? prepare(c) : E_NO_MEMORY;
    if (!e) {
        e = oneshot(work, c, &(struct oneshot_hooks){.quit = quit});
        status = c->n ? ping_status(c->hosts, c->n, e) : 2;
    }
    if (e && e != E_CANCELED)
        status = verb_fail(&ping_role, e);
    ping_free(c->hosts, c->n);
    free(c->hosts);
    buf_free(&c->fill);
    digest_keys_free(&c->keys);
    if (c->ping.trace)
        trace_close(c->ping.trace);
    return status;
}

const struct opt_role ping_role = {
    .tool = "ping",
    .usage = "HOST [PORT] [HOST [PORT]]...",
    .summary = "send numbered, timed datagrams to an echo server",
    .tables = tables,
    .conf_size = sizeof(struct conf),
    .args_min = 1,
    .args_max = 2 * HOSTS_MAX,
    .run = run,
    .notes = "The port is 12001 unless given (862 with --stamp). Exit status: 0 every host answered, 1 not, 2 other "
             "errors.\n"
             "  l7 ping -c 100 -i 10ms 192.0.2.7      l7 ping --stamp --key-file k 192.0.2.7\n"};
