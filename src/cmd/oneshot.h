/* SPDX-License-Identifier: MIT */
/* oneshot.h -- for tools that run and end: one loop, one fiber, then the exit status. SIGINT and SIGTERM cancel the
   fiber's scope once (so that summaries are printed) and end the process the second time. */
#pragma once

#include "rt/fiber.h"

struct oneshot_hooks {
    void (*quit)(void *arg); /* SIGQUIT: an interim summary, on the loop; NULL: default action */
};
/* Returns what `fn` returned; E_CANCELED when a signal ended it and `fn` passed that on. */
MUST err_t oneshot(err_t (*fn)(void *arg), void *arg, const struct oneshot_hooks *);
