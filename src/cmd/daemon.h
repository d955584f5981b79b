/* SPDX-License-Identifier: MIT */
/*
 * daemon.h -- what every listening tool shares: its options, privileges, limits, systemd, metrics, workers.
 *
 * A tool embeds `struct daemon_conf` first in its config struct, lists `daemon_opts` among its tables and calls
 * daemon_run. Order: raise the descriptor limit, bind, drop privileges, start workers, notify systemd.
 */
#pragma once

#include "cmd/opt.h"
#include "rt/worker.h"

struct daemon_conf {
    struct opt_list listen;
    int64_t workers; /* 0: one a core */
    const char *user;
    const char *metrics; /* ADDR:PORT or NULL */
    int64_t drain;       /* ns */
    bool quiet;
};
extern const struct opt daemon_opts[]; /* offsets are relative to the config struct's start */

/* Limits of HTTP daemons, with their one name in all of them; embedded right behind daemon_conf. */
struct http_limits {
    uint64_t max_connections;            /* 0: no limit but the descriptor limit */
    uint64_t max_connections_per_client; /* loopback clients have none by default */
    uint64_t max_header;                 /* bytes of request line and header section */
    uint64_t max_body;
    int64_t header_timeout, body_timeout, idle_timeout; /* ns */
    const char *access_log;                             /* FILE, "-" for stderr, "off" */
    int log_format;                                     /* 0 combined, 1 json */
    bool accept_lf;
};

MUST err_t daemon_run(struct daemon_conf *, const struct worker_hooks *);
