/* SPDX-License-Identifier: MIT */
/*
 * histogram.h -- how long things took: a log-linear histogram (after HdrHistogram) with mean and deviation.
 *
 * Values are nanoseconds (or any count) from 0 to 2^42, 73 minutes; larger ones are counted as the largest. Below 4096
 * each value has a bucket of its own, above that a bucket spans at most 1/2048 of its value. Adding costs no memory.
 */
#pragma once

#include "base/buf.h"

enum { HISTOGRAM_BITS = 12, HISTOGRAM_TOP = 42 };

struct histogram {
    uint64_t *counts;
    uint64_t total;
    int64_t min, max;
    double mean, m2; /* Welford: the sum of squared distances from the mean */
};

MUST err_t histogram_init(struct histogram *); /* E_NO_MEMORY */
void histogram_done(struct histogram *);
void histogram_add(struct histogram *, int64_t value); /* negative values count as 0 */
double histogram_stddev(const struct histogram *);     /* of the population, as ping(8) prints it */
/* The value that a share `q` of all values does not exceed (0.5 is the median), within a bucket; 0 when empty. */
int64_t histogram_quantile(const struct histogram *, double q);
uint64_t histogram_between(const struct histogram *, int64_t from,
                           int64_t below); /* values in [from, below), by bucket */

/* The text that HdrHistogram's plotters read (.hgrm): values divided by `unit`. */
MUST err_t histogram_hgrm(const struct histogram *, double unit, struct buf *);
