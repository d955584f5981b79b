/* SPDX-License-Identifier: MIT */
/*
 * fiber.h -- one stack for one piece of active work.
 *
 * A fiber is a function with a stack of its own that runs on one loop, is never moved to another thread, and
 * is switched only where it waits. Everything that may wait takes `tick until` as its last parameter and
 * returns E_TIMEOUT when that time passes or E_CANCELED when the fiber's scope closes; both travel the
 * ordinary error path. Fibers are made by scope_spawn (scope.h), never directly.
 *
 * No switch may happen while foreign code (OpenSSL, nghttp2, c-ares) is on the stack: their callbacks only
 * record and wake. FOREIGN(call) counts them in and out, and the switch checks that the count is zero.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"

typedef void fiber_fn(void *arg);
struct fiber;
struct scope;
struct loop;

struct fiber *fiber_self(void); /* NULL outside of fibers */
bool fiber_canceled(void);      /* has this fiber's scope been closed? Every later wait returns E_CANCELED. */

MUST err_t fiber_sleep(tick until); /* NULL at the time, E_CANCELED before */
MUST err_t fiber_yield(void);       /* give up the rest of this turn; E_CANCELED */

/* Let up to three others of this turn get as far, and go on before it ends. For while memory is on its way that was
   asked for (__builtin_prefetch): what a switch costs is a fraction of that wait. When nobody else is about to begin it
   returns at once. Cancellation does not end it. */
void fiber_give_way(void);

/* The building block of everything that waits, for rt/ itself: suspend until fiber_wake, the time or the
   cancellation. `where` names the place for SIGUSR2's list of fibers. */
MUST err_t fiber_wait(const char *where, tick until);
void fiber_wake(struct fiber *);               /* same loop only; harmless when it is already awake */
void fiber_wait_uncanceled(const char *where); /* only scope_close and offload may use this */

extern _Thread_local int fiber_foreign;
#define FOREIGN(call)                                                                                                  \
    ({                                                                                                                 \
        fiber_foreign++;                                                                                               \
        __typeof__(call) r_ = (call);                                                                                  \
        fiber_foreign--;                                                                                               \
        r_;                                                                                                            \
    })

/* Every live fiber of this loop to stderr: name, age, where it waits (SIGUSR2). */
void fiber_dump(void);
