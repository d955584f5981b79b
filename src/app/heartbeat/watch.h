/* SPDX-License-Identifier: MIT */
/*
 * watch.h -- `l7 heartbeat watch`: ask one or several listeners for their tables once a second, and show them.
 *
 * A question is padded to the size that the answer may have, so a listener never sends more than it got. The slots of
 * the table are asked for in eight strands at a time, so that distance costs little. On a terminal the table is
 * redrawn in place with one write a frame; in a pipe it is printed anew, or as JSON.
 */
#pragma once

#include "app/heartbeat/watch_view.h"
#include "rt/fiber.h"

struct watch_options {
    const char *key_file; /* sign questions, believe only signed answers; or NULL */
    int64_t interval;     /* ns */
    int64_t count;        /* rounds, 0: until stopped */
    bool json;
    int keys; /* descriptor that keys come from, -1: none */
    const char *title;
    struct view view; /* quorum, sort and filter are the caller's */
};

/* Until the count is reached, 'q', or the fiber is canceled. E_TIMEOUT when no listener ever answered. */
MUST err_t watch_run(struct watch_options *, const struct addr *listeners, int n);
