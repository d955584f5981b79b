/* SPDX-License-Identifier: MIT */
/* internal.h -- what the files of rt/ share of fibers and loops. Nobody outside rt/ includes it. */
#pragma once

#include <stdatomic.h>

#include "base/check.h"
#include "rt/inbox.h"
#include "rt/loop.h"
#include "rt/outbox.h"
#include "rt/poll.h"
#include "rt/sanitize.h"
#include "rt/slot.h"
#include "rt/stack.h"

enum { FIBER_MAGIC = 0x66696272, FIBER_MAX = 16000, FIBER_BUDGET = 128, FIBER_BEHIND = 3, LOOP_EVENTS = 256 };

struct fiber { /* lives at the top of its own stack */
    uint32_t magic;
    bool canceled, waiting;
    bool shielded; /* this wait does not end on cancellation */
    void *context; /* where it was left */
    struct fiber *ready_next;
    struct scope *scope;
    struct list in_scope, in_loop, in_queue;
    struct timer timer;
    err_t woken; /* what fiber_wait will return */
    const char *name, *where;
    tick born;
    fiber_fn *fn;
    void *arg;
    struct stack *stack;
    struct sanitize sanitize;
    struct fault_note note;
};

struct loop {
    struct fiber *running; /* NULL while the loop itself runs */
    void *context;         /* the thread's own stack, while a fiber runs */
    struct fiber *ready, **ready_last;
    struct fiber *first, *then; /* who runs next, let by whom; NULL: the next that is ready */
    struct behind {
        struct fiber *fiber;
        int budget;             /* what it had left */
    } behind[FIBER_BEHIND + 1]; /* who gave way, a ring of `behind_n` that begins at `behind_at` */
    unsigned behind_at, behind_n;
    bool more;          /* of this turn's events are still to be looked at */
    struct fiber *dead; /* ended, but it could not free the stack it stood on */
    int budget;         /* operations left to the running fiber before it must yield */
    tick now;
    int64_t wall;
    struct scope scope;
    struct timer_wheel timers;
    struct poller *poller;
    struct slots slots;
    struct list parked;
    size_t parked_count;
    struct list fibers;
    size_t fiber_count, fiber_max;
    struct stack_cache stacks;
    struct timer trim;
    size_t high_water;
    const char *high_water_name;
    bool census;
    _Atomic(struct note *) posts;
    struct note *later;
    struct sanitize sanitize;
    void *signal_stack;
    struct loop_end *ends;
    struct inbox inbox;
    struct outbox outbox;
    struct ready events[LOOP_EVENTS]; /* of the current turn */
};

extern _Thread_local struct loop *loop_here;

struct fiber *fiber_new(struct scope *, const char *name, fiber_fn *, void *arg, err_t *why);
void fiber_resume(struct loop *, struct fiber *); /* from the loop: run it until it waits or ends */
void fiber_catch_up(struct loop *);               /* from the loop: those who gave way go on */
void fiber_let(struct fiber *);                   /* from a fiber: let that new one run first */
void fiber_end_wait(struct fiber *, err_t);       /* make it ready, if it waits */
void fiber_cancel(struct fiber *);
void fiber_ready(struct loop *, struct fiber *);
void loop_run_posts(struct loop *);
void loop_bury(struct loop *); /* free the stacks of the dead */

/* One more operation succeeded without waiting; yields when the fiber had its share of the turn. */
MUST err_t fiber_spend(void);
