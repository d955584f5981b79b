/* SPDX-License-Identifier: MIT */
/*
 * worker.h -- a daemon's threads: one loop each, and the signals that steer them.
 *
 * worker_run blocks the steering signals in all threads and reads them in the calling thread:
 * SIGHUP calls `reload`; the first SIGTERM or SIGINT starts the drain (each loop's `drain` runs, then its scope
 * is given `drain_ms` to empty and is canceled); the second stops at once; SIGUSR2 lists the fibers.
 */
#pragma once

#include "rt/loop.h"

struct worker_hooks {
    int count; /* threads, at least 1 */
    err_t (*start)(void *arg,
                   int index); /* in a fiber on each loop: open listeners, spawn into loop_scope; then return */
    void (*drain)(void *arg, int index); /* on each loop, must not suspend: stop accepting, wake the parked */
    err_t (*reload)(void *arg);          /* in the calling thread: build the new state, then worker_each to swap */
    void (*ready)(void *arg); /* in the calling thread, once every worker has started (print addresses, notify) */
    void *arg;
    int64_t drain_ms;
};

/* Returns when every loop has ended: the first error of any `start`, else NULL. */
MUST err_t worker_run(const struct worker_hooks *);
/* Run `fn` on every loop and wait for all of them; from the calling thread of worker_run only. */
void worker_each(void (*fn)(void *arg, int index), void *arg);
void worker_stop(void); /* begin the drain from any thread, as SIGTERM does */
int worker_cores(void); /* CPUs that this process may run on */
int worker_index(void); /* of this thread's loop; 0 outside of workers */
