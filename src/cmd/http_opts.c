/* SPDX-License-Identifier: MIT */
#include "cmd/http_opts.h"

#include <stdlib.h>

#include "base/log.h"
#include "net/tls_auto.h"
#include "wire/trace.h"

struct placed {
    struct daemon_conf daemon;
    struct http_conf http;
};
#define AT(field) offsetof(struct placed, http.field)

const struct opt http_opts[] = {
    {"http", 0, OPT_HEADING, 0, NULL, "Limits, log, TLS, trace", NULL, NULL, false},
    {"max-connections", 0, OPT_INT, AT(max_connections), "N", "in total; 0: as many as descriptors", "0", NULL, false},
    {"max-connections-per-client", 0, OPT_INT, AT(max_connections_per_client), "N",
     "0: 256, and none for loopback clients", "0", NULL, false},
    {"max-header", 0, OPT_SIZE, AT(max_header), "SIZE", "request line and header", "32K", NULL, false},
    {"header-timeout", 0, OPT_DURATION, AT(header_timeout), "TIME", "for a whole head", "20s", NULL, false},
    {"body-timeout", 0, OPT_DURATION, AT(body_timeout), "TIME", "without progress of a body", "60s", NULL, false},
    {"idle-timeout", 0, OPT_DURATION, AT(idle_timeout), "TIME", "between requests", "75s", NULL, false},
    {"access-log", 0, OPT_STRING, AT(access_log), "FILE", "'-': stderr, 'off': none", "-", NULL, false},
    {"log-format", 0, OPT_CHOICE, AT(log_format), "combined|json", "of the access log", "combined", NULL, false},
    {"accept-lf", 0, OPT_FLAG, AT(accept_lf), NULL, "accept lines that end in LF alone", NULL, NULL, false},
    {"tls-cert", 0, OPT_LIST, AT(tls_cert), "FILE", "certificate with its chain; several by name", NULL, NULL, false},
    {"tls-key", 0, OPT_LIST, AT(tls_key), "FILE", "the key of each, in the same order", NULL, NULL, false},
    {"tls-auto", 0, OPT_FLAG, AT(tls_auto), NULL, "with a local authority's (l7 help tls)", NULL, NULL, false},
    {"keylog", 0, OPT_STRING, AT(keylog), "FILE", "TLS secrets for Wireshark", NULL, NULL, false},
    {"trace", 0, OPT_OPTIONAL, AT(trace), "FILE", "show the dialogue as it happens", NULL, NULL, false},
    {"trace-secrets", 0, OPT_FLAG, AT(trace_secrets), NULL, "do not mask secrets there", NULL, NULL, false},
    {NULL, 0, OPT_FLAG, 0, NULL, NULL, NULL, NULL, false}};

enum { PER_CLIENT = 256, HEADER_MIN = 256, HEADER_MAX = 1 << 20 };

static err_t check(const struct http_conf *c)
{
    if (c->max_header < HEADER_MIN || c->max_header > HEADER_MAX)
        return fault(E_USAGE, "--max-header must be from %d to %d bytes", HEADER_MIN, HEADER_MAX);
    if ((int64_t)c->max_connections < 0 || (int64_t)c->max_connections_per_client < 0)
        return fault(E_USAGE, "a limit of connections cannot be negative");
    const struct {
        const char *name;
        int64_t time;
    } timeouts[] = {{"header", c->header_timeout}, {"body", c->body_timeout}, {"idle", c->idle_timeout}};
    for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++)
        if (timeouts[i].time <= 0)
            return fault(E_USAGE, "--%s-timeout must be longer than nothing", timeouts[i].name);
    return NULL;
}

err_t http_opts_apply(const struct http_conf *c, struct server_options *o)
{
    TRY(check(c));
    o->max_connections = c->max_connections;
    o->max_connections_per_client = c->max_connections_per_client ? c->max_connections_per_client : PER_CLIENT;
    o->limit_loopback = c->max_connections_per_client != 0;
    o->max_header = c->max_header;
    o->max_body = c->max_body ? c->max_body : UINT64_MAX;
    o->header_timeout = c->header_timeout;
    o->body_timeout = c->body_timeout;
    o->idle_timeout = c->idle_timeout;
    o->accept_lf = c->accept_lf;
    o->format = c->log_format ? ACCESS_JSON : ACCESS_COMBINED;
    if (strcmp(c->access_log, "off") != 0)
        TRY(log_file_open(c->access_log, &o->access_log));
    return c->trace ? trace_open(c->trace, c->trace_secrets, &o->trace) : NULL;
}

static err_t local_pair(struct tls_pair *pair)
{
    static struct tls_auto made; /* the context's files are named by it */
    TRY(tls_auto(&made));
    log_line(LOG_INFO, "local authority: %s (l7 help tls says how to trust it)", made.ca);
    *pair = (struct tls_pair){made.cert, made.key};
    return NULL;
}

err_t http_opts_tls(const struct http_conf *c, unsigned alpn, struct tls **out)
{
    size_t given = c->tls_cert.n, n = given + c->tls_auto;
    *out = NULL;
    if (c->tls_cert.n != c->tls_key.n)
        return fault(E_USAGE, "each --tls-cert wants a --tls-key");
    if (n == 0)
        return c->keylog ? fault(E_USAGE, "--keylog wants --tls-cert or --tls-auto") : NULL;
    struct tls_pair *pairs = calloc(n, sizeof *pairs);
    if (!pairs)
        return E_NO_MEMORY;
    for (size_t i = 0; i < given; i++)
        pairs[i] = (struct tls_pair){c->tls_cert.v[i], c->tls_key.v[i]};
    err_t e = c->tls_auto ? local_pair(&pairs[given]) : NULL;
    if (!e)
        e = tls_server_new(&(struct tls_server_options){pairs, (int)n, alpn, c->keylog, NULL}, out);
    free(pairs);
    return e;
}
