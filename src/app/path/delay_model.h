/* SPDX-License-Identifier: MIT */
/*
 * delay_model.h -- where the time of a packet goes, in closed form: processing, queueing, transmission, propagation.
 *
 * A path is a row of links; each node stores a packet whole before it sends it on. Times are seconds, lengths bits,
 * rates bits a second, distances metres. Queues are at one link: Poisson arrivals that load it by `load` (the
 * textbook's traffic intensity La/R), service times exponential with mean L/R (M/M/1) or all L/R (M/D/1), and room for
 * `buffer` packets, the one being sent included (M/M/1/K).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct delay_link {
    double rate, distance, speed, processing;
};
struct delay_path {
    const struct delay_link *links;
    size_t count;
    double bits; /* of a packet */
    uint64_t packets;
};

double delay_transmission(const struct delay_link *, double bits); /* L/R */
double delay_propagation(const struct delay_link *);               /* d/s */
double delay_first(const struct delay_path *);                     /* one packet over all links */
double delay_last(const struct delay_path *);       /* the last of `packets` sent together: first + (N - 1) L/R_min */
size_t delay_bottleneck(const struct delay_path *); /* the slowest link (the first of them) */

/* Mean waiting time before service; infinity from load 1 on. */
double delay_wait_mm1(double load, double service);
double delay_wait_md1(double load, double service);
double delay_loss_mm1k(double load, uint64_t buffer); /* share of packets that find it full */
