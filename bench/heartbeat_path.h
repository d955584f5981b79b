/* SPDX-License-Identifier: MIT */
/*
 * heartbeat_path.h -- a sender at the far end of a lossy, jittery path, in simulated time, from a seed: which beats
 * arrive, and when. For heartbeat_detector.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"

enum path_delay { DELAY_EXPONENTIAL, DELAY_LOGNORMAL, DELAY_PARETO };
struct path {
    double interval; /* ms */
    double loss;     /* mean share of beats */
    bool burst;      /* lost in bursts: Gilbert's model, on average 3.3 beats long */
    enum path_delay delay;
};

enum { PATH_FLYING = 512 };
struct path_beat {
    double at; /* ms */
    uint64_t sequence;
};
struct path_run {
    struct prng random;
    const struct path *path;
    bool bad;
    struct path_beat heap[PATH_FLYING];
    int flying;
    uint64_t next;
};

/* `p` must outlive the run. */
void path_start(struct path_run *, const struct path *p, uint64_t seed);
/* The next beat that arrives, in the order of arrival; 1 % of them are held back by more than an interval. */
struct path_beat path_next(struct path_run *);
