/* SPDX-License-Identifier: MIT */
/*
 * delays.h -- replies that go out later: a heap by time, with copies of their bytes, up to a limit.
 *
 * A reply may also be held back until a later one to the same client has gone (that is what reordering is). No clock
 * and no socket in here; listen.c asks what is due.
 */
#pragma once

#include "base/clock.h"
#include "net/udp.h"

enum { DELAYS_MAX = 65536, DELAYS_BYTES_MAX = 64 << 20 };
#define DELAYS_HOLD (900 * TICK_MS) /* a held reply goes out by then, overtaken or not: within the usual patience */

struct delayed {
    tick due;
    uint64_t order; /* among those due at the same time */
    struct datagram datagram;
    bool held;
    size_t place; /* in the heap */
};

struct delays {
    struct delayed **heap;
    size_t count, bytes, held;
    uint64_t order;
    uint64_t overflowed; /* replies dropped because too much was waiting */
};

MUST err_t delays_init(struct delays *);
void delays_done(struct delays *);

/* Queue a copy of the reply for `due`. When the client had a reply held, that one follows right behind; returns how
   many it overtook (0 or 1). */
unsigned delays_add(struct delays *, const struct datagram *, tick due);
/* Queue a copy that waits for the client's next reply. False when one is held for this client already. */
bool delays_hold(struct delays *, const struct datagram *, tick now);
tick delays_next(const struct delays *);                /* TICK_NEVER when empty */
struct delayed *delays_take(struct delays *, tick now); /* the first one due, now the caller's to free(); NULL */
