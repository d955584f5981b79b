/* SPDX-License-Identifier: MIT */
/* proxy.c -- `l7 proxy`: options to the caching proxy; `l7 proxy why` and `l7 proxy purge` ask a running one. */
#include <stdio.h>
#include <stdlib.h>

#include "app/proxy/proxy.h"
#include "base/log.h"
#include "cmd/http_opts.h"
#include "cmd/oneshot.h"
#include "cmd/verb.h"
#include "http/server.h"
#include "rt/loop.h"
#include "wire/trace.h"

enum { TARGETS_MAX = 8 };

struct proxy_conf {
    struct daemon_conf daemon;
    struct http_conf http;
    struct opt_list origin, allow, allow_to, deny_to, trust;
    const char *connect_ports, *auth, *parent, *health, *control, *cache_dir, *targets, *ca;
    int64_t health_interval, origin_timeout;
    uint64_t cache_memory, cache_size, max_object;
    bool insecure, cache;
    /* -- while it runs -- */
    struct proxy *proxy;
    struct server *server;
    struct trace_sink *sink;
    struct slice target_list[TARGETS_MAX];
};

#define AT(field) offsetof(struct proxy_conf, field)
static const struct opt own[] = {
    {"origin", 0, OPT_LIST, AT(origin), "URL", "reverse: fetch everything from here; repeatable", NULL, NULL, false},
    {"health", 0, OPT_STRING, AT(health), "PATH", "ask the origins for this every --health-interval", NULL, NULL,
     false},
    {"health-interval", 0, OPT_DURATION, AT(health_interval), "TIME", "between health checks", "5s", NULL, false},
    {"parent", 0, OPT_STRING, AT(parent), "URL", "go through this proxy (http://[USER:PASSWORD@]HOST:PORT)", NULL, NULL,
     false},
    {"origin-timeout", 0, OPT_DURATION, AT(origin_timeout), "TIME", "without a byte from an origin", "60s", NULL,
     false},
    {"max-body", 0, OPT_SIZE, AT(http.max_body), "SIZE", "request body; 0: no limit", "0", NULL, false},
    {"ca", 0, OPT_STRING, AT(ca), "FILE", "trust these certificates of origins", NULL, NULL, false},
    {"insecure", 0, OPT_FLAG, AT(insecure), NULL, "do not verify certificates of origins", NULL, NULL, false},
    {"cache", 0, OPT_HEADING, 0, NULL, "Cache", NULL, NULL, false},
    {"cache", 0, OPT_FLAG, AT(cache), NULL, "store responses (--no-cache)", "yes", NULL, false},
    {"cache-memory", 0, OPT_SIZE, AT(cache_memory), "SIZE", "of the memory tier", "256M", NULL, false},
    {"cache-dir", 0, OPT_STRING, AT(cache_dir), "DIR", "keep responses here too: the disk tier", NULL, NULL, false},
    {"cache-size", 0, OPT_SIZE, AT(cache_size), "SIZE", "of the disk tier", "1G", NULL, false},
    {"max-object", 0, OPT_SIZE, AT(max_object), "SIZE", "larger responses are not stored", "64M", NULL, false},
    {"cache-targets", 0, OPT_STRING, AT(targets), "NAMES", "targeted fields, reverse mode (RFC 9213)",
     "CDN-Cache-Control", NULL, false},
    {"control", 0, OPT_STRING, AT(control), "SOCKET", "take commands of 'l7 proxy why' and 'purge'", NULL, NULL, false},
    {"access", 0, OPT_HEADING, 0, NULL, "Access", NULL, NULL, false},
    {"allow", 0, OPT_LIST, AT(allow), "NETWORK", "clients that may use the proxy", NULL, NULL, false},
    {"allow-to", 0, OPT_LIST, AT(allow_to), "NETWORK|DOMAIN", "destinations beside the default ones", NULL, NULL,
     false},
    {"deny-to", 0, OPT_LIST, AT(deny_to), "NETWORK|DOMAIN", "destinations refused", NULL, NULL, false},
    {"connect-ports", 0, OPT_STRING, AT(connect_ports), "PORTS|all", "for CONNECT", NULL, NULL, false},
    {"proxy-auth", 0, OPT_STRING, AT(auth), "FILE", "lines USER:PASSWORD; others get 407", NULL, NULL, false},
    {"trust", 0, OPT_LIST, AT(trust), "NETWORK", "clients whose X-Forwarded-* are kept", NULL, NULL, false},
    {NULL, 0, OPT_FLAG, 0, NULL, NULL, NULL, NULL, false}};

static err_t start(void *arg, int index)
{
    struct proxy_conf *c = arg;
    TRY(proxy_start(c->proxy, index));
    for (int i = 0; i < c->daemon.point_count; i++)
        if (!c->daemon.points[i].label)
            TRY(server_listen(c->server, &c->daemon.points[i].at));
    return NULL;
}

static void drain(void *arg, int index)
{
    struct proxy_conf *c = arg;
    server_drain(c->server);
    proxy_drain(c->proxy, index);
}

static err_t parse_ports(const char *text, struct access *a)
{
    struct slice rest = slice_z(text), one;
    if (slice_eq(rest, S("all"))) {
        a->connect_any = true;
        return NULL;
    }
    while (slice_cut(&rest, ',', &one)) {
        uint64_t port;
        if (!slice_u64(slice_trim(one), &port) || !port || port > 65535 || a->connect_port_count == 64)
            return fault(E_USAGE, "--connect-ports %s: not a list of ports", text);
        a->connect_ports[a->connect_port_count++] = (uint16_t)port;
    }
    return NULL;
}

static err_t parse_access(struct proxy_conf *c, struct proxy_options *o)
{
    TRY(access_parse(c->allow.v, c->allow.n, &o->access.clients));
    TRY(access_parse(c->allow_to.v, c->allow_to.n, &o->access.allow_to));
    TRY(access_parse(c->deny_to.v, c->deny_to.n, &o->access.deny_to));
    TRY(access_parse(c->trust.v, c->trust.n, &o->trusted));
    o->access.loopback_only = true;
    for (int i = 0; i < c->daemon.point_count; i++)
        if (!c->daemon.points[i].label && c->daemon.points[i].at.addr.sa.sa_family != AF_UNIX)
            o->access.loopback_only &= addr_is_loopback(&c->daemon.points[i].at.addr);
    return c->connect_ports ? parse_ports(c->connect_ports, &o->access) : NULL;
}

/* What would do nothing, and somebody may rely on. */
static err_t check(const struct proxy_conf *c)
{
    if (c->auth && c->origin.n)
        return fault(E_USAGE, "--proxy-auth is for a forward proxy; with --origin the origin asks for passwords");
    if (c->health && !c->origin.n)
        return fault(E_USAGE, "--health asks the servers that --origin names");
    if (c->health_interval <= 0 || c->origin_timeout <= 0)
        return fault(E_USAGE, "--health-interval and --origin-timeout must be longer than nothing");
    return NULL;
}

static err_t make_proxy(struct proxy_conf *c)
{
    struct slice rest = slice_z(c->targets), one;
    struct proxy_options o = {.origins = c->origin.v,
                              .origin_count = c->origin.n,
                              .health_path = c->health,
                              .health_interval = c->health_interval,
                              .cache_memory = c->cache ? c->cache_memory : 0,
                              .cache_dir = c->cache_dir,
                              .cache_size = c->cache_size,
                              .object_max = c->max_object,
                              .targets = c->target_list,
                              .parent = c->parent,
                              .tls = {.ca_file = c->ca, .insecure = c->insecure},
                              .origin_timeout = c->origin_timeout,
                              .auth_file = c->auth,
                              .trace = c->sink,
                              .control = c->control};
    while (slice_cut(&rest, ',', &one) && o.target_count < TARGETS_MAX)
        if (slice_trim(one).n)
            c->target_list[o.target_count++] = slice_trim(one);
    if (c->insecure)
        log_line(LOG_WARN, "l7 proxy: --insecure: certificates of origins are not verified");
    TRY(parse_access(c, &o));
    return proxy_new(&o, daemon_workers(&c->daemon), &c->proxy);
}

static void site_free(struct site *s)
{
    tls_unref(s->tls);
    free(s);
}

/* Towards the clients: certificates are read anew on each reload, while the proxy and its cache stay. */
static err_t make_site(const struct proxy_conf *c, struct site **out)
{
    struct site *s = calloc(1, sizeof *s);
    if (!s)
        return E_NO_MEMORY;
    *s = (struct site){.handler = proxy_handle, .conf = c->proxy, .free = site_free};
    err_t e = http_opts_tls(&c->http, TLS_ALPN_HTTP1, &s->tls);
    if (e)
        site_free(s);
    else
        *out = s;
    return e;
}

static err_t reload(void *arg)
{
    struct proxy_conf *c = arg;
    struct site *s;
    TRY(make_site(c, &s));
    server_swap(c->server, s);
    return NULL;
}

static err_t serve(struct proxy_conf *c)
{
    struct server_options o = {0};
    struct site *site;
    TRY(check(c));
    TRY(daemon_bind(&c->daemon, &proxy_role, "127.0.0.1:8888", LISTEN_DEFER));
    TRY(http_opts_apply(&c->http, &o));
    c->sink = o.trace;
    TRY(make_proxy(c));
    TRY(make_site(c, &site));
    TRY(server_new(&o, daemon_workers(&c->daemon), site, &c->server));
    return daemon_run(&c->daemon, &(struct worker_hooks){.start = start, .drain = drain, .reload = reload, .arg = c});
}

static int run(void *conf, int argc, char **argv)
{
    (void)argc, (void)argv;
    struct proxy_conf *c = conf;
    c->daemon.role = &proxy_role;
    err_t e = serve(c);
    server_free(c->server);
    proxy_free(c->proxy);
    trace_close(c->sink);
    return daemon_end(&c->daemon, e);
}

const struct opt_role proxy_role = {
    .tool = "proxy",
    .usage = "",
    .summary = "caching HTTP proxy: forward, /host/path, CONNECT, reverse",
    .tables = (const struct opt *const[]){own, http_opts, daemon_opts, NULL},
    .conf_size = sizeof(struct proxy_conf),
    .args_max = 0,
    .run = run,
    .notes = "  l7 proxy                                  then: curl -x http://127.0.0.1:8888 http://example.org/\n"
             "  l7 proxy --origin http://127.0.0.1:8005   a cache in front of a server\n",
};

/* ---- Asking a running proxy ---- */

struct ask_conf {
    const char *control;
    bool soft;
    const char *verb, *what;
};

#define ASK(field) offsetof(struct ask_conf, field)
static const struct opt why_opts[] = {
    {"control", 0, OPT_STRING, ASK(control), "SOCKET", "of the running proxy", NULL, NULL, false},
    {NULL, 0, OPT_FLAG, 0, NULL, NULL, NULL, NULL, false}};
static const struct opt purge_opts[] = {
    {"control", 0, OPT_STRING, ASK(control), "SOCKET", "of the running proxy", NULL, NULL, false},
    {"soft", 0, OPT_FLAG, ASK(soft), NULL, "keep it, but validate it before it is used again", NULL, NULL, false},
    {NULL, 0, OPT_FLAG, 0, NULL, NULL, NULL, NULL, false}};

static err_t ask(void *arg)
{
    struct ask_conf *c = arg;
    struct buf line = {.max = 8192}, out = {0};
    if (!c->control)
        return fault(E_USAGE, "--control SOCKET says which proxy to ask");
    err_t e = buf_format(&line, "%s%s %s", c->verb, c->soft ? "-soft" : "", c->what);
    e = e ? e : proxy_control_ask(c->control, buf_slice(&line), &out, after(600000)); /* a prefix opens every file */
    if (!e)
        fwrite(out.p, 1, out.n, stdout);
    buf_free(&line);
    buf_free(&out);
    return e;
}

static int ask_run(struct ask_conf *c, const struct opt_role *role, const char *verb, const char *what)
{
    c->verb = verb;
    c->what = what;
    err_t e = oneshot(ask, c, NULL);
    return e ? verb_fail(role, e) : 0;
}

static int run_why(void *conf, int argc, char **argv)
{
    (void)argc;
    return ask_run(conf, &proxy_why_role, "why", argv[0]);
}

static int run_purge(void *conf, int argc, char **argv)
{
    (void)argc;
    return ask_run(conf, &proxy_purge_role, "purge", argv[0]);
}

const struct opt_role proxy_why_role = {
    .tool = "proxy",
    .role = "why",
    .usage = "URL",
    .summary = "what a running proxy has stored for a URL, and how it decides",
    .tables = (const struct opt *const[]){why_opts, NULL},
    .conf_size = sizeof(struct ask_conf),
    .args_min = 1,
    .args_max = 1,
    .run = run_why,
    .notes = "  l7 proxy why --control /run/l7.sock http://example.org/\n",
};
const struct opt_role proxy_purge_role = {
    .tool = "proxy",
    .role = "purge",
    .usage = "URL|PREFIX*",
    .summary = "remove what a running proxy has stored",
    .tables = (const struct opt *const[]){purge_opts, NULL},
    .conf_size = sizeof(struct ask_conf),
    .args_min = 1,
    .args_max = 1,
    .run = run_purge,
    .notes = "  l7 proxy purge --control /run/l7.sock 'http://example.org/news/*'\n",
};
