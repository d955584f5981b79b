/* SPDX-License-Identifier: MIT */
/*
 * http_opts.h -- the options that all HTTP daemons share: limits, timeouts, access log. A tool embeds
 * `struct http_conf` right behind its `struct daemon_conf` and lists `http_opts` among its tables.
 */
#pragma once

#include "cmd/daemon.h"
#include "http/server.h"

struct http_conf {
    uint64_t max_connections, max_connections_per_client, max_header, max_body;
    int64_t header_timeout, body_timeout, idle_timeout; /* ns */
    const char *access_log;                             /* FILE, "-" for stderr, "off" */
    int log_format;                                     /* 0 combined, 1 json */
    bool accept_lf;
};
extern const struct opt http_opts[]; /* offsets are those behind a struct daemon_conf at the start */

/* Opens the access log and fills in the server's options. E_USAGE, E_PERMISSION. */
MUST err_t http_opts_apply(const struct http_conf *, struct server_options *);
