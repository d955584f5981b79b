/* SPDX-License-Identifier: MIT */
/*
 * clients.h -- small fixed memories of who has sent lately: for loops and for STAMP sessions.
 *
 * A table of sets of eight; the entry that was silent longest makes room. Nothing is allocated a datagram, and a flood
 * of made-up senders costs no memory: it only makes the table forget. Keys are keyed hashes of addresses.
 */
#pragma once

#include "base/addr.h"
#include "base/clock.h"

struct client {
    uint64_t key;
    tick seen;
    union {
        struct {
            uint32_t what;  /* loops: hash of the last payload */
            uint32_t times; /* seen in a row */
        } repeat;
        uint32_t sequence; /* STAMP: of the next reply */
    };
};

enum { CLIENTS_SETS = 1024, CLIENTS_WAYS = 8, CLIENTS_REPEATS = 1 << 16 };

struct clients {
    struct client *sets; /* CLIENTS_SETS * CLIENTS_WAYS */
    uint64_t seed;
};

MUST err_t clients_init(struct clients *);
void clients_done(struct clients *);
/* The entry of a key, fresh (zero but for the key) when it is not known or was silent longer than `memory`. */
struct client *clients_get(struct clients *, uint64_t key, tick now, tick memory);

uint64_t clients_key(const struct clients *, const struct addr *, bool with_port);

/* Has this client sent the very same thing CLIENTS_REPEATS times without a break? Then it is another reflector, and
   what came is what we sent: leaving one unanswered ends the loop. */
bool clients_loops(struct client *, uint32_t what);
