/* SPDX-License-Identifier: MIT */
/*
 * rate.h -- how many datagrams a second one client may send us (--rate-limit): a token bucket a client.
 *
 * The table has a fixed size and never allocates after rate_init, so a flood from forged addresses costs nothing but
 * places in it: the longest idle of eight neighbours gives way. A bucket holds one second's worth, so a burst of that
 * size passes. One thread only; each loop has its own.
 */
#pragma once

#include "base/addr.h"
#include "base/clock.h"

enum { RATE_CLIENTS = 4096, RATE_WAYS = 8 };

struct rate_client {
    uint64_t key;
    tick full_at; /* when the bucket will be full again; in the past: it is full */
};
struct rate {
    uint64_t seed;
    tick each; /* what one datagram costs, in ns; 0: no limit */
    struct rate_client *clients;
};

MUST err_t rate_init(struct rate *, uint64_t per_second); /* 0: no limit, no memory. E_NO_MEMORY */
bool rate_allow(struct rate *, const struct addr *client, tick now);
void rate_done(struct rate *);
