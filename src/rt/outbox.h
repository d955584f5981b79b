/* SPDX-License-Identifier: MIT */
/*
 * outbox.h -- small writes that leave together. Nobody outside rt/ includes it; io_writev_soon is its front.
 *
 * The kernel's way in from a socket and its way out to one are each about as large as the processor's instruction
 * cache. A loop that answers event after event goes through both again and again. When the small answers are kept back
 * until the turn's events have been handled, each way is gone through in a row, which is 2.6 % of a small request
 * (cohort scheduling: Larus and Parkes, USENIX 2002); the answers to pipelined requests leave in one piece; and all of
 * them enter the kernel once (sys_send_all), which is a sixth. A batch has one write of each descriptor at most, since
 * what follows a write that was cut short must wait for it.
 *
 * Sockets that are done with are closed together, too, once the writes are out; a last write is held back until then
 * (MSG_MORE), and the end rides along with it.
 *
 * What is kept counts as written. Order is kept with all other operations on the descriptor, which send it first. What
 * the socket does not take at once waits in its slot for room; an error waits there for the next operation.
 */
#pragma once

#include "rt/slot.h"
#include "rt/sys.h"

struct loop;
struct iovec;

enum { OUTBOX_SMALL = 2048, OUTBOX_WRITES = 64, OUTBOX_BYTES = 32 << 10, OUTBOX_CLOSES = 64 };

struct unsent { /* what the socket of a slot did not take */
    size_t at, n;
    char bytes[];
};

struct outbox { /* of a loop */
    unsigned writes;
    size_t used;
    struct sys_send write[OUTBOX_WRITES]; /* one a descriptor */
    char bytes[OUTBOX_BYTES];
    unsigned closes;
    int close[OUTBOX_CLOSES];
};

/* Keep a copy; false when it is too large or `s` has something unsent: it must be written now. `last`: see sys.h. */
bool outbox_keep(int fd, struct slot *s, const struct iovec *, int n, bool last);
void outbox_flush(struct loop *);         /* in the order in which it came, without waiting */
void outbox_go_on(int fd, struct slot *); /* there may be room for what is unsent */
void outbox_drop(int fd, struct slot *);  /* the descriptor is about to be closed: what cannot leave now is lost */
void outbox_close(int fd); /* with others, when this turn's events have been handled; the loop has forgotten it */
/* Nothing of `fd` is kept or unsent any more: the error that waits there, E_TIMEOUT, E_CANCELED. */
MUST err_t outbox_settle(int fd, struct slot *s, tick until);
/* The same without waiting: E_TIMEOUT when something stays. */
MUST err_t outbox_settle_now(struct slot *s);
