/* SPDX-License-Identifier: MIT */
/* oneshot.h -- for tools that run and end: one loop, one fiber, then the exit status. SIGINT and SIGTERM cancel the
   fiber's scope once (so that summaries are printed) and end the process the second time. */
#pragma once

#include "rt/fiber.h"

struct oneshot_hooks {
    void (*quit)(void *arg); /* SIGQUIT: an interim summary, on the loop, must not suspend; NULL: default action */
};
/* Returns what `fn` returned, with its fault note; E_CANCELED when a signal ended it and `fn` passed that on. */
MUST err_t oneshot(err_t (*fn)(void *arg), void *arg, const struct oneshot_hooks *);

/* A non-blocking descriptor for the program's own standard input, for io_read; O_NONBLOCK is not set on the one that
   the shell and other programs share with us. Close it with io_close. */
MUST err_t oneshot_stdin(int *fd);
