/* SPDX-License-Identifier: MIT */
/*
 * scope.h -- structured concurrency: a fiber's children end before it does.
 *
 * A scope lives on its opener's stack (or in a loop, for work that no single fiber owns). scope_close cancels
 * every fiber in it and waits for them, so no child outlives what it points at. Close a scope on the fiber
 * that opened it.
 */
#pragma once

#include "base/list.h"
#include "rt/fiber.h"

struct scope {
    struct list fibers;
    struct fiber *waiting; /* the one in scope_join or scope_close */
    bool closing;
};

void scope_open(struct scope *);
/* E_NO_MEMORY, E_LIMIT at the loop's cap on fibers, E_CANCELED when closing. `name` must be static. The new
   fiber starts in this or the next turn, not before the caller waits. */
MUST err_t scope_spawn(struct scope *, const char *name, fiber_fn *, void *arg);
/* The same from a fiber, which lets the new one run first, until that waits or ends: when many live short, all on one
   stack that is still in the processor's cache. */
MUST err_t scope_run(struct scope *, const char *name, fiber_fn *, void *arg);
MUST err_t scope_join(struct scope *, tick until); /* wait until every fiber has ended */
void scope_close(struct scope *);                  /* cancel, then join; cannot fail */
void scope_cancel(struct scope *);                 /* cancel without waiting; spawning fails from now on */
bool scope_empty(const struct scope *);
