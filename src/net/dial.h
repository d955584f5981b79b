/* SPDX-License-Identifier: MIT */
/*
 * dial.h -- connect by name: Happy Eyeballs version 2 (RFC 8305).
 *
 * AAAA is asked first and waited for 50 ms after A came (section 3); addresses alternate between the families
 * (section 4); the next attempt starts 250 ms after the last, or at once when that failed (section 5).
 */
#pragma once

#include "base/addr.h"
#include "net/resolve.h"
#include "rt/fiber.h"

struct dial_times { /* for waterfalls; 0 = did not happen */
    tick start, resolved, connected;
};
struct dial_options {
    int family;              /* 0, AF_INET, AF_INET6 */
    const struct addr *bind; /* local address, or NULL */
    /* Access rules: false refuses the address (E_FORBIDDEN when none is left). The checked address is the one
       that is dialled, so a name that changes its answer gains nothing. NULL allows all. */
    bool (*allowed)(const struct addr *, void *arg);
    void *arg;
};

/* A connected, non-blocking TCP socket with TCP_NODELAY. `times` and `peer` may be NULL. */
MUST err_t dial(struct slice host, uint16_t port, const struct dial_options *, int *fd, struct addr *peer,
                struct dial_times *times, tick until);
MUST err_t dial_addr(const struct addr *, const struct dial_options *, int *fd,
                     tick until); /* one address, or a Unix socket */
