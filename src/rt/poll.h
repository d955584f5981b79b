/* SPDX-License-Identifier: MIT */
/*
 * poll.h -- the seam between the loop and the kernel, chosen at link time: poll_epoll.c, or sim.c for tests.
 *
 * Each descriptor is watched edge-triggered, and only from its first EAGAIN on, so a short connection never enters
 * the poller: for reading when that is what somebody waits for, in both directions from the first wait for writing on.
 * (The kernel reports room for writing after each datagram sent, also to those who never lacked any.) Readiness is
 * remembered above (io.c) until a call says EAGAIN.
 * Tokens are returned as given; io.c puts a generation in them so that a stale event for a reused descriptor
 * is dropped.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"

struct poller;
struct ready {
    uint64_t token;
    bool read, write, hangup;
};

MUST err_t poll_open(struct poller **);
/* A second call for the same descriptor adds the writing. What is ready now is reported by the next poll_wait. */
MUST err_t poll_watch(struct poller *, int fd, uint64_t token, bool writing);
void poll_forget(struct poller *, int fd);
/* Waits until something is ready, poll_alarm is called or the time comes; returns how many were filled in. */
int poll_wait(struct poller *, struct ready *, int max, tick until);
void poll_alarm(struct poller *); /* from any thread: make poll_wait return */
void poll_close(struct poller *);
