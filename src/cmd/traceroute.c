/* SPDX-License-Identifier: MIT */
/* traceroute.c -- l7 traceroute: options to app/path/traceroute.h. */
#include <stdio.h>

#include "app/path/traceroute.h"
#include "cmd/oneshot.h"
#include "cmd/verb.h"
#include "net/resolve.h"
#include "rt/loop.h"

struct conf {
    int64_t first, hops, queries, at_once, port, wait;
    uint64_t size;
    bool numeric, json, v4, v6;
    const char *host;
    struct trace_conf trace;
    bool reached;
};

#define AT(field) offsetof(struct conf, field)
static const struct opt opts[] = {
    {"first", 'f', OPT_INT, AT(first), "N", "begin with this time to live", "1", NULL, false},
    {"hops", 'm', OPT_INT, AT(hops), "N", "and go no further than this", "30", NULL, false},
    {"queries", 'q', OPT_INT, AT(queries), "N", "probes a hop", "3", NULL, false},
    {"at-once", 'N', OPT_INT, AT(at_once), "N", "probes under way", "16", NULL, false},
    {"port", 'p', OPT_INT, AT(port), "N", "of the first probe; each takes the next", "33434", NULL, false},
    {"wait", 'w', OPT_DURATION, AT(wait), "TIME", "for each answer", "2s", NULL, false},
    {"size", 's', OPT_SIZE, AT(size), "BYTES", "of data in a probe", "32", NULL, false},
    {"numeric", 'n', OPT_FLAG, AT(numeric), NULL, "no names", NULL, NULL, false},
    {"json", 0, OPT_FLAG, AT(json), NULL, "one JSON object a hop", NULL, NULL, false},
    {"ipv4", '4', OPT_FLAG, AT(v4), NULL, "IPv4 only", NULL, NULL, false},
    {"ipv6", '6', OPT_FLAG, AT(v6), NULL, "IPv6 only", NULL, NULL, false},
    {NULL, 0, OPT_FLAG, 0, NULL, NULL, NULL, NULL, false}};
static const struct opt *const tables[] = {opts, NULL};

static err_t between(const char *name, int64_t v, int64_t least, int64_t most)
{
    if (v >= least && v <= most)
        return NULL;
    return fault(E_USAGE, "--%s: from %lld to %lld", name, (long long)least, (long long)most);
}

static err_t prepare(struct conf *c)
{
    TRY(between("hops", c->hops, 1, TRACE_HOPS_MAX));
    TRY(between("first", c->first, 1, c->hops));
    TRY(between("queries", c->queries, 1, TRACE_QUERIES_MAX));
    TRY(between("at-once", c->at_once, 1, 1000));
    TRY(between("port", c->port, 1, 65535 - c->hops * c->queries));
    TRY(between("size", (int64_t)c->size, 0, TRACE_SIZE_MAX));
    c->trace = (struct trace_conf){.name = c->host,
                                   .first = (int)c->first,
                                   .hops = (int)c->hops,
                                   .queries = (int)c->queries,
                                   .at_once = (int)c->at_once,
                                   .port = (uint16_t)c->port,
                                   .size = (size_t)c->size,
                                   .wait = c->wait,
                                   .numeric = c->numeric,
                                   .json = c->json};
    return NULL;
}

static err_t work(void *arg)
{
    struct conf *c = arg;
    struct resolved r;
    TRY(resolve(slice_z(c->host), 0, c->v4 ? AF_INET : c->v6 ? AF_INET6 : 0, &r, now() + 10 * TICK_S));
    c->trace.target = r.v[0];
    return traceroute(&c->trace, &c->reached);
}

static int run(void *arg, int argc, char **argv)
{
    struct conf *c = arg;
    (void)argc;
    c->host = argv[0];
    err_t e = prepare(c);
    if (!e)
        e = oneshot(work, c, NULL);
    if (e)
        return e == E_CANCELED ? 1 : verb_fail(&traceroute_role, e);
    return c->reached ? 0 : 1;
}

const struct opt_role traceroute_role = {
    .tool = "traceroute",
    .usage = "HOST",
    .summary = "the path to a host, hop by hop, without root",
    .tables = tables,
    .conf_size = sizeof(struct conf),
    .args_min = 1,
    .args_max = 1,
    .run = run,
    .notes = "Exit status: 0 the host itself answered, 1 not. Marks: !H host, !N network, !P protocol unreachable,\n"
             "!F too big, !X prohibited, !E could not be sent.\n"};
