/* SPDX-License-Identifier: MIT */
/*
 * park.h -- wait on a descriptor without owning a stack.
 *
 * An idle connection is one small struct that holds a `struct parked`. When bytes (or a hang-up) arrive, or its
 * time passes, `wake` runs on the loop; it must not suspend and normally spawns a fiber that carries on. The
 * struct is out of the parking lot by the time `wake` runs.
 */
#pragma once

#include "base/list.h"
#include "rt/timer.h"

enum park_why { PARK_READY, PARK_TIMEOUT, PARK_SHUTDOWN };

struct parked {
    int fd;
    bool ahead; /* what comes may be received before `wake` runs (rt/inbox.h), some 1 KiB at most: who is woken reads
                   all of it, with io_read or io_read_now, before anything else is done with `fd` */
    tick until;
    void (*wake)(struct parked *, enum park_why);
    struct list link;   /* private */
    struct timer timer; /* private: {0} before the first park; may stay armed between parks (see timer.h) */
};

/* Park on this thread's loop. `wake` is never called from within park_enter itself. */
void park_enter(struct parked *);
void park_leave(struct parked *);  /* take it out without waking; harmless when it is not parked */
void park_forget(struct parked *); /* park_leave, and stop the timer: call it before the memory goes */
void park_wake_all(enum park_why); /* drain: every parked connection of this loop */
