/* SPDX-License-Identifier: MIT */
/*
 * resolve.h -- names to addresses, by c-ares on this loop.
 *
 * Honours the hosts file, the search list and `timeout`/`attempts` of resolv.conf. Answers are kept for their TTL
 * (at most 5 minutes) and failures for 5 seconds. IP literals and "localhost" never ask anybody (RFC 6761).
 */
#pragma once

#include "base/addr.h"
#include "rt/fiber.h"

enum { RESOLVE_MAX = 16 };
struct resolved {
    struct addr v[RESOLVE_MAX];
    int n;
};

/* E_NO_HOST, E_RESOLVE, E_TIMEOUT, E_CANCELED. Ports are set to `port`. `family` 0 asks for both. */
MUST err_t resolve(struct slice host, uint16_t port, int family, struct resolved *, tick until);
/* The name of an address (PTR) into `out`; E_NO_HOST. */
MUST err_t resolve_name(const struct addr *, char *out, size_t cap, tick until);
void resolve_done(void); /* frees this loop's channel and cache; the loop calls it when it ends */
/* Fixed answers ahead of everything (--resolve HOST:PORT:ADDR); port 0 matches all. */
MUST err_t resolve_pin(struct slice host, uint16_t port, const struct addr *);
