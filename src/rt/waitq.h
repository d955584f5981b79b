/* SPDX-License-Identifier: MIT */
/* waitq.h -- fibers of one loop that wait for a condition; first come, first woken. Look at the condition again
   after waking: it is a hint, not a hand-over. */
#pragma once

#include "base/list.h"
#include "rt/fiber.h"

struct waitq {
    struct list waiters;
};

void waitq_init(struct waitq *);
MUST err_t waitq_wait(struct waitq *, tick until);
void waitq_wake(struct waitq *, int count); /* count < 0: all */
bool waitq_empty(const struct waitq *);
