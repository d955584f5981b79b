/* SPDX-License-Identifier: MIT */
/*
 * stat.h -- counters and gauges, one set a loop, summed on reading.
 *
 * Each row of stat.def is one metric. Its single writer is the loop's thread, so a count is one plain add;
 * readers on other threads use relaxed loads. Histograms are log-scale (two buckets an octave).
 */
#pragma once

#include <stdatomic.h>

#include "base/buf.h"

enum stat_id {
#define STAT_ROW(id, type, name, help) STAT_##id,
#include "base/stat.def"
#undef STAT_ROW
    STAT_COUNT
};
enum { STAT_HISTOGRAM_BUCKETS = 64 };

struct stat_set {
    _Atomic uint64_t value[STAT_COUNT];
    _Atomic uint64_t latency[STAT_HISTOGRAM_BUCKETS]; /* of requests, in ns, bucket = 2 * log2 */
    _Atomic uint64_t latency_sum;                     /* ns */
    struct stat_set *next;
};

extern _Thread_local struct stat_set *stat_here; /* NULL until stat_join */

MUST err_t stat_join(void); /* give this thread a set, kept until the process ends */

static inline void stat_add(enum stat_id id, int64_t n)
{
    if (stat_here) {
        _Atomic uint64_t *v = &stat_here->value[id];
        atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + (uint64_t)n, memory_order_relaxed);
    }
}
void stat_latency(int64_t ns);

uint64_t stat_sum(enum stat_id id); /* over all threads */

/* All metrics as OpenMetrics 1.0 text, "# EOF" included; families that never counted are left out unless `all`. */
MUST err_t stat_openmetrics(struct buf *out, bool all);
