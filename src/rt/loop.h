/* SPDX-License-Identifier: MIT */
/*
 * loop.h -- one event loop a thread: ready fibers, timers, the poller, posts from other threads.
 *
 * Everything of a loop is used from its own thread only; loop_post is the one exception.
 */
#pragma once

#include "rt/scope.h"
#include "rt/timer.h"

struct loop;

/* A message to a loop from any thread. The sender owns the memory until `run` is called on the loop. */
struct note {
    struct note *next;
    void (*run)(struct note *); /* on the loop, must not suspend */
};

MUST err_t loop_open(struct loop **);    /* make a loop for this thread; E_NO_FDS, E_NO_MEMORY */
struct loop *loop_self(void);            /* this thread's loop, NULL before loop_open */
struct scope *loop_scope(struct loop *); /* for fibers that no other fiber owns */
/* Run `fn` as the loop's first fiber and turn until no fiber is left, of whatever scope. */
MUST err_t loop_run(struct loop *, const char *name, fiber_fn *, void *arg);
void loop_cancel(struct loop *); /* cancel every fiber, and let no new one into the loop's scope */
void loop_close(struct loop *);

/* Tidying up for what higher layers keep per loop (resolver, pools): run by loop_close of this thread's loop, last come
   first, when no fiber is left. */
struct loop_end {
    struct loop_end *next;
    void (*run)(struct loop_end *);
};
void loop_at_end(struct loop_end *);

void loop_post(struct loop *, struct note *); /* thread-safe */
/* On this thread's loop: in this turn, once what it wrote has been sent (io_writev_soon). */
void loop_later(struct note *);

tick now(void);         /* the loop's clock, read once a turn; the real clock outside of a loop */
tick after(int64_t ms); /* now() + ms; negative means TICK_NEVER */
int64_t wall_now(void); /* wall time in ns, from the same reading */

void loop_fiber_max(struct loop *, size_t max); /* cap on live fibers; the default is 16,000 */
