/* SPDX-License-Identifier: MIT */
#include "base/histogram.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

enum {
    HALF = 1 << (HISTOGRAM_BITS - 1),
    BUCKETS = (HISTOGRAM_TOP - HISTOGRAM_BITS) * HALF + 2 * HALF,
};

/* The first 2 * HALF buckets hold one value each; every octave above has HALF buckets. */
static size_t bucket_of(int64_t value)
{
    uint64_t v = value < 0 ? 0 : (uint64_t)value;
    if (v >> HISTOGRAM_TOP)
        return BUCKETS - 1;
    if (v < 2 * HALF)
        return (size_t)v;
    int shift = 64 - __builtin_clzll(v) - HISTOGRAM_BITS;
    return (size_t)shift * HALF + (size_t)(v >> shift);
}

static int64_t bucket_low(size_t bucket)
{
    if (bucket < 2 * HALF)
        return (int64_t)bucket;
    size_t shift = bucket / HALF - 1;
    return (int64_t)((bucket - shift * HALF) << shift);
}

err_t histogram_init(struct histogram *h)
{
    *h = (struct histogram){.counts = calloc(BUCKETS, sizeof *h->counts)};
    return h->counts ? NULL : E_NO_MEMORY;
}

void histogram_done(struct histogram *h)
{
    free(h->counts);
    *h = (struct histogram){0};
}

void histogram_add(struct histogram *h, int64_t value)
{
    if (value < 0)
        value = 0;
    h->counts[bucket_of(value)]++;
    if (!h->total || value < h->min)
        h->min = value;
    if (!h->total || value > h->max)
        h->max = value;
    h->total++;
    double d = (double)value - h->mean;
    h->mean += d / (double)h->total;
    h->m2 += d * ((double)value - h->mean);
}

double histogram_stddev(const struct histogram *h)
{
    return h->total ? sqrt(h->m2 / (double)h->total) : 0;
}

int64_t histogram_quantile(const struct histogram *h, double q)
{
    uint64_t rank = (uint64_t)ceil(q * (double)h->total), seen = 0;
    if (!h->total)
        return 0;
    for (size_t b = 0; b < BUCKETS; b++) {
        seen += h->counts[b];
        if (seen < rank || !seen)
            continue;
        int64_t middle = (bucket_low(b) + bucket_low(b + 1) - 1) / 2;
        return middle < h->min ? h->min : middle > h->max ? h->max : middle;
    }
    return h->max;
}

uint64_t histogram_between(const struct histogram *h, int64_t from, int64_t below)
{
    uint64_t n = 0;
    size_t first = bucket_of(from);
    if (bucket_low(first) < from) /* begins before: it belongs to the range below */
        first++;
    for (size_t b = first; b < BUCKETS && bucket_low(b) < below; b++)
        n += h->counts[b];
    return n;
}

/* Five ticks a half distance: 0, 0.1, ... 0.5, 0.55, ... as HdrHistogram's own writer does. */
static double next_share(double share)
{
    double halves = ceil(log2(1 / (1 - share)) + 1e-9);
    return share + 1 / (5 * exp2(halves));
}

err_t histogram_hgrm(const struct histogram *h, double unit, struct buf *out)
{
    TRY(buf_format(out, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)"));
    uint64_t seen = 0;
    double share = 0;
    for (size_t b = 0; b < BUCKETS && seen < h->total; b++) {
        if (!h->counts[b])
            continue;
        seen += h->counts[b];
        double top = (double)(bucket_low(b + 1) - 1), at = (double)seen / (double)h->total;
        top = (top > (double)h->max ? (double)h->max : top) / unit;
        for (; share <= at && share < 1 && seen < h->total; share = next_share(share))
            TRY(buf_format(out, "%12.3f %2.12f %10" PRIu64 " %14.2f\n", top, share, seen, 1 / (1 - share)));
        if (seen == h->total)
            TRY(buf_format(out, "%12.3f %2.12f %10" PRIu64 "\n", top, 1.0, seen));
    }
    TRY(buf_format(out, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", h->mean / unit, histogram_stddev(h) / unit));
    TRY(buf_format(out, "#[Max     = %12.3f, Total count    = %12" PRIu64 "]\n", (double)h->max / unit, h->total));
    return buf_format(out, "#[Buckets = %12d, SubBuckets     = %12d]\n", HISTOGRAM_TOP - HISTOGRAM_BITS + 1, 2 * HALF);
}
