/* SPDX-License-Identifier: MIT */
/*
 * daemon.h -- what every listening tool shares: its options, descriptor limit, sockets, privileges, systemd, workers.
 *
 * A tool puts `struct daemon_conf` first in its config struct, lists `daemon_opts` among its tables, and in its run
 * function binds, prepares its app-level server with the points bound, and runs:
 *
 *     TRY(daemon_bind(&c->daemon, &echo_listen_role, "127.0.0.1:12000", 0));
 *     TRY(daemon_run(&c->daemon, &(struct worker_hooks){.start = start, .drain = drain, .arg = c}));
 *
 * A start hook opens its listeners with listen_fd(&c->daemon.points[i].at, index). daemon_run prints the addresses
 * ("l7 echo listen: listening on 127.0.0.1:12000"), drops privileges before the first byte is read, and tells systemd
 * about readiness, reload and stop. The metrics have a point of their own, which the tool never sees.
 */
#pragma once

#include "cmd/opt.h"
#include "net/listen.h"
#include "rt/worker.h"

enum { DAEMON_POINTS_MAX = 32 };

struct daemon_point {
    struct listen_point at;
    const char *label; /* "metrics", printed behind the address; NULL for the tool's main job */
};

struct daemon_conf {
    struct opt_list listen;
    int64_t workers; /* 0: one a core */
    const char *user;
    int64_t drain;       /* ns */
    const char *metrics; /* ADDR:PORT or NULL */
    /* -- filled in by daemon_bind -- */
    const struct opt_role *role;
    struct daemon_point points[DAEMON_POINTS_MAX];
    int point_count;
};
extern const struct opt daemon_opts[]; /* offsets are relative to the config struct's start */

/* How many workers there will be. */
int daemon_workers(const struct daemon_conf *);

/* Raise the descriptor limit, check the options. For tools that bind every point by daemon_bind_more; the others call
   daemon_bind, which does it too. E_USAGE. */
MUST err_t daemon_prepare(struct daemon_conf *, const struct opt_role *);
/* Bind every --listen address; without one, the sockets that systemd passed, else
   `usual` ("127.0.0.1:8005", whose port is also the default one for "--listen ADDR"). E_USAGE, E_BUSY, E_PERMISSION. */
MUST err_t daemon_bind(struct daemon_conf *, const struct opt_role *, const char *usual, enum listen_flags);
/* One more point with a label of its own; `*out` (may be NULL) stays valid. */
MUST err_t daemon_bind_more(struct daemon_conf *, const char *address, uint16_t default_port, enum listen_flags,
                            const char *label, struct listen_point **out);
/* Run to the end. `hooks->count` and `drain_ms` come from the configuration; `reload` reopens log files first. */
MUST err_t daemon_run(struct daemon_conf *, const struct worker_hooks *hooks);
/* The usual body of a role's run function: print what went wrong, give the exit status. */
int daemon_end(struct daemon_conf *, err_t);
