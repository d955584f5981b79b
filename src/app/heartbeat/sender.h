/* SPDX-License-Identifier: MIT */
/*
 * sender.h -- `l7 heartbeat send`: a beat every interval, and a goodbye at the end.
 *
 * Beats are due at start + k * interval by the monotonic clock, so a late one does not delay the next and a step of the
 * wall clock moves nothing. The incarnation is the wall clock at the start: it grows from start to start,
 * with `state` also when the clock was set back in between.
 */
#pragma once

#include "base/addr.h"
#include "rt/fiber.h"

struct sender_options {
    const char *id;       /* up to 64 bytes */
    int64_t interval;     /* ns */
    int64_t count;        /* beats, 0: until stopped */
    const char *key_file; /* or NULL */
    const char *state;    /* file that keeps the last incarnation, or NULL */
    bool text;            /* "SEQ UNIXTIME", as the labs send them */
    bool verbose;         /* a line a beat */
};
struct sender_totals {
    uint64_t sent, failed;
};

/* Runs until the count is reached or the fiber is canceled; the latter says goodbye and is no error. Beats that the
   network refuses are counted and the next one is tried: that is what a heartbeat is for. */
MUST err_t sender_run(const struct sender_options *, const struct addr *to, struct sender_totals *);
