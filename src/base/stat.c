/* SPDX-License-Identifier: MIT */
#include "base/stat.h"

#include <pthread.h>
#include <stdlib.h>

_Thread_local struct stat_set *stat_here;

static pthread_mutex_t sets_lock = PTHREAD_MUTEX_INITIALIZER;
static struct stat_set *sets; /* never shrinks: a finished thread's counts still count */

static const struct {
    const char *name, *type, *help;
} rows[STAT_COUNT] = {
#define STAT_ROW(id, type, name, help) {name, #type, help},
#include "base/stat.def"
#undef STAT_ROW
};

err_t stat_join(void)
{
    if (stat_here)
        return NULL;
    struct stat_set *s = calloc(1, sizeof *s);
    if (!s)
        return E_NO_MEMORY;
    pthread_mutex_lock(&sets_lock);
    s->next = sets;
    sets = s;
    pthread_mutex_unlock(&sets_lock);
    stat_here = s;
    return NULL;
}

/* Two buckets an octave: bucket 2k holds [2^k, 1.5 * 2^k), bucket 2k + 1 holds [1.5 * 2^k, 2^(k + 1)). */
static unsigned bucket_of(uint64_t ns)
{
    unsigned k = ns ? 63u - (unsigned)__builtin_clzll(ns) : 0;
    unsigned half = k ? (unsigned)(ns >> (k - 1) & 1) : 0;
    unsigned b = 2 * k + half;
    return b < STAT_HISTOGRAM_BUCKETS ? b : STAT_HISTOGRAM_BUCKETS - 1;
}

static double bucket_end(unsigned b)
{
    double base = (double)(UINT64_C(1) << (b / 2));
    return b % 2 ? base * 2 : base * 1.5;
}

static void bump(_Atomic uint64_t *v, uint64_t n)
{
    atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n, memory_order_relaxed);
}

void stat_latency(int64_t ns)
{
    if (!stat_here)
        return;
    uint64_t v = ns > 0 ? (uint64_t)ns : 0;
    bump(&stat_here->latency[bucket_of(v)], 1);
    bump(&stat_here->latency_sum, v);
}

static struct stat_set *all_sets(void)
{
    pthread_mutex_lock(&sets_lock);
    struct stat_set *s = sets;
    pthread_mutex_unlock(&sets_lock);
    return s;
}

uint64_t stat_sum(enum stat_id id)
{
    uint64_t sum = 0;
    for (struct stat_set *s = all_sets(); s; s = s->next)
        sum += atomic_load_explicit(&s->value[id], memory_order_relaxed);
    return sum;
}

static err_t histogram(struct buf *out)
{
    static const char name[] = "l7_http_request_duration_seconds";
    uint64_t count = 0, sum = 0;
    TRY(buf_format(out, "# TYPE %s histogram\n# UNIT %s seconds\n# HELP %s Time from first byte to last\n", name, name,
                   name));
    for (unsigned b = 0; b < STAT_HISTOGRAM_BUCKETS; b++) {
        for (struct stat_set *s = all_sets(); s; s = s->next)
            count += atomic_load_explicit(&s->latency[b], memory_order_relaxed);
        if (b + 1 < STAT_HISTOGRAM_BUCKETS && b >= 20) /* from about 1.5 us on */
            TRY(buf_format(out, "%s_bucket{le=\"%.9g\"} %llu\n", name, bucket_end(b) / 1e9, (unsigned long long)count));
    }
    for (struct stat_set *s = all_sets(); s; s = s->next)
        sum += atomic_load_explicit(&s->latency_sum, memory_order_relaxed);
    return buf_format(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_count %llu\n%s_sum %.9f\n", name, (unsigned long long)count,
                      name, (unsigned long long)count, name, (double)sum / 1e9);
}

err_t stat_openmetrics(struct buf *out, bool all)
{
    for (int i = 0; i < STAT_COUNT; i++) {
        uint64_t v = stat_sum((enum stat_id)i);
        if (!all && v == 0)
            continue;
        bool counter = rows[i].type[0] == 'c';
        TRY(buf_format(out, "# TYPE %s %s\n# HELP %s %s\n%s%s %lld\n", rows[i].name, rows[i].type, rows[i].name,
                       rows[i].help, rows[i].name, counter ? "_total" : "", (long long)v));
    }
    if (all || stat_sum(STAT_REQUESTS))
        TRY(histogram(out));
    return buf_add(out, S("# EOF\n"));
}
