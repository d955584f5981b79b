/* SPDX-License-Identifier: MIT */
/*
 * delay_sim.h -- the same packets one by one, by a seed: what the closed forms of delay_model.h must agree with.
 *
 * Means come with a 95 % confidence interval by batch means: after a warm-up the run is cut into 30 batches, whose
 * means are nearly independent, and Student's t is applied to them.
 */
#pragma once

#include "app/path/delay_model.h"

struct delay_estimate {
    double mean, half; /* the interval is mean - half .. mean + half */
};

enum delay_service { DELAY_EXPONENTIAL, DELAY_CONSTANT };

/* Waiting times of `samples` packets in an infinite buffer; load < 1. */
struct delay_estimate delay_sim_wait(enum delay_service, double load, double service, uint64_t samples, uint64_t seed);
/* Share of `samples` packets lost by a buffer of `buffer` (at most DELAY_BUFFER_MAX). */
struct delay_estimate delay_sim_loss(double load, uint64_t buffer, uint64_t samples, uint64_t seed);
enum { DELAY_BUFFER_MAX = 1 << 16 };

/* When the last of the path's packets arrives, each followed over each link; -1 when memory is short. */
double delay_sim_train(const struct delay_path *);
