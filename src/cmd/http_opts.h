/* SPDX-License-Identifier: MIT */
/*
 * http_opts.h -- the options that all HTTP daemons share: limits, timeouts, access log. A tool embeds
 * `struct http_conf` right behind its `struct daemon_conf` and lists `http_opts` among its tables. --max-body, whose
 * default differs, is in the tool's own.
 */
#pragma once

#include "cmd/daemon.h"
#include "http/server.h"
#include "net/tls.h"

struct http_conf {
    uint64_t max_connections, max_connections_per_client, max_header, max_body;
    int64_t header_timeout, body_timeout, idle_timeout; /* ns */
    const char *access_log;                             /* FILE, "-" for stderr, "off" */
    int log_format;                                     /* 0 combined, 1 json */
    bool accept_lf;
    struct opt_list tls_cert, tls_key;
    bool tls_auto;
    const char *keylog;
    const char *trace; /* "": stderr */
    bool trace_secrets;
};
extern const struct opt http_opts[]; /* offsets are those behind a struct daemon_conf at the start */

/* Opens the access log and the trace and fills in the server's options. E_USAGE, E_PERMISSION. */
MUST err_t http_opts_apply(const struct http_conf *, struct server_options *);

/* The TLS context that the options ask for, its files read anew: at the start and on each reload. NULL without any.
   `alpn` as in tls.h. E_USAGE, E_NOT_FOUND, E_CERT. */
MUST err_t http_opts_tls(const struct http_conf *, unsigned alpn, struct tls **);
