/* SPDX-License-Identifier: MIT */
/*
 * listen.h -- listening sockets: bound once, opened per worker with SO_REUSEPORT, taken over from systemd.
 *
 * A plain bind without SO_REUSEPORT probes first that nobody holds the port, since SO_REUSEPORT would share
 * it silently with another l7. SO_REUSEADDR is set, so a stopped daemon starts again at once. Accepted TCP sockets
 * inherit TCP_NODELAY. Where the system's congestion control sends by timers (BBR), a listener on a loopback address
 * uses Reno: there is no path to find out about, and the timers cost. A Unix socket is one for all workers; a stale
 * file is replaced, and ours goes with listen_close.
 */
#pragma once

#include "base/addr.h"
#include "rt/fiber.h"

enum listen_flags {
    LISTEN_DEFER = 1, /* TCP_DEFER_ACCEPT: only where the client speaks first */
    LISTEN_UDP = 2,
};

struct listen_point {
    struct addr addr; /* as asked; the port is filled in once bound when it was 0 */
    enum listen_flags flags;
    int fd_count; /* one a worker, or one shared when systemd passed it */
    int *fds;
    bool bound_path; /* we made the Unix socket's file */
    bool passed;     /* by systemd */
    bool paced;      /* its connections send by timers: a large first write costs more than a small one ahead of it */
};

enum { LISTEN_PASSED_FIRST = 3 }; /* SD_LISTEN_FDS_START of sd_listen_fds(3) */

/* How many descriptors systemd has passed to this very process, from LISTEN_PASSED_FIRST on. */
uint64_t listen_passed(void);
/* Bind `workers` sockets. Fills in the port when it was 0. E_BUSY ("address already in use: 127.0.0.1:80"),
   E_PERMISSION, E_USAGE. Sockets passed by systemd (LISTEN_FDS) with the same address are taken over. */
MUST err_t listen_open(struct listen_point *, int workers);
int listen_fd(const struct listen_point *, int worker);
/* Further connections to this worker's socket are refused, and who still waits to be accepted is reset. A socket that
   systemd passed goes on listening, for the process that it will start next. */
void listen_stop(const struct listen_point *, int worker);
void listen_close(struct listen_point *);
