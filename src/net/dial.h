/* SPDX-License-Identifier: MIT */
/*
 * dial.h -- connect by name: Happy Eyeballs version 2 (RFC 8305).
 *
 * AAAA and A are asked at once, and the slower one is waited for 50 ms after the other came (section 3); addresses
 * alternate between the families, IPv6 first (section 4); the next attempt starts 250 ms after the last, or at once
 * when that failed (section 5). Addresses that arrive later still take part.
 */
#pragma once

#include "base/addr.h"
#include "net/resolve.h"
#include "rt/fiber.h"

#define DIAL_STEP (250 * TICK_MS)

struct dial_times { /* for waterfalls; 0 = did not happen */
    tick start, resolved, connected;
};
struct dial_options {
    int family;              /* 0, AF_INET, AF_INET6 */
    const struct addr *bind; /* local address, or NULL */
    /* Access rules: false refuses the address (E_FORBIDDEN when none is left). The checked address is the one
       that is dialled, so a name that changes its answer gains nothing. `host` is the name it was asked for, empty
       with dial_addr. NULL allows all. */
    bool (*allowed)(const struct addr *, struct slice host, void *arg);
    void *arg;
};

/* A connected, non-blocking TCP socket with TCP_NODELAY. `options`, `times` and `peer` may be NULL. The error is that
   of the attempt that says most ("refused" rather than "unreachable"). */
MUST err_t dial(struct slice host, uint16_t port, const struct dial_options *, int *fd, struct addr *peer,
                struct dial_times *times, tick until);
/* One address, or a Unix socket. */
MUST err_t dial_addr(const struct addr *, const struct dial_options *, int *fd, tick until);
