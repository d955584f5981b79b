/* SPDX-License-Identifier: MIT */
/*
 * resolve.h -- names to addresses, by c-ares on this loop.
 *
 * Honours the hosts file, the search list and `timeout`/`attempts` of resolv.conf, which is read again when it changed.
 * Answers are kept for their TTL (at most 5 minutes) and failures for 5 seconds; fibers that ask for the same name
 * share one question. IP literals and "localhost" (also as the last label, RFC 6761) never ask anybody.
 * The environment variable L7_NAMESERVERS ("127.0.0.1:5353,[::1]:53") takes the place of resolv.conf's servers.
 * What a loop holds is freed when the loop closes.
 */
#pragma once

#include "base/addr.h"
#include "rt/fiber.h"

enum { RESOLVE_MAX = 16 };
struct resolved {
    struct addr v[RESOLVE_MAX];
    int n;
};

/* How long the slower of the two questions is waited for once the other was answered (RFC 8305 section 3). */
#define RESOLVE_DELAY (50 * TICK_MS)

/* E_NO_HOST, E_RESOLVE, E_TIMEOUT, E_CANCELED. Ports are set to `port`. `family` 0 asks for both, IPv6 comes first. */
MUST err_t resolve(struct slice host, uint16_t port, int family, struct resolved *, tick until);
/* The name of an address (PTR) into `out`; E_NO_HOST. */
MUST err_t resolve_name(const struct addr *, char *out, size_t cap, tick until);
/* Fixed answers ahead of everything (--resolve HOST:PORT:ADDR); port 0 matches all, host "*" as well. Several for one
   name add up. Of the whole process: before the first loop starts. */
MUST err_t resolve_pin(struct slice host, uint16_t port, const struct addr *);
/* Does answering need no question: a literal, localhost or a pin? Then the answer, which may be empty. */
bool resolve_local(struct slice host, uint16_t port, int family, struct resolved *);
