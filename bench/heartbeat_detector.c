/* SPDX-License-Identifier: MIT */
/*
 * heartbeat_detector.c -- how good is the detector? A seeded simulation of lossy, jittery paths on the pure code.
 *
 * For every row of the grid it prints, over many sender-hours: mistakes a sender-hour and the median detection time
 * with --false-alarms 1/hour, and beside it the best fixed timeout: the one that makes exactly as many mistakes on
 * the very same arrivals (found afterwards, so no real fixed timeout can do better). Ratio below 1: we detect sooner.
 *
 *     heartbeat_detector [SEED] [SENDERS] [HOURS] [INTERVAL_MS]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/heartbeat/detector.h"
#include "base/check.h"
#include "base/random.h"

enum delay_kind { EXPONENTIAL, LOGNORMAL, PARETO };
enum loss_kind { INDEPENDENT, BURST };
struct path {
    double loss; /* mean */
    enum loss_kind kind;
    enum delay_kind delay;
    double interval_ms;
};
struct flight {
    double at;
    uint64_t sequence;
};
struct run {
    struct prng r;
    const struct path *p;
    bool bad;
    struct flight heap[4096];
    int flying;
    uint64_t next;
};

static double normal(struct prng *r)
{
    return sqrt(-2 * log(1 - prng_unit(r))) * cos(2 * M_PI * prng_unit(r));
}

static double delay_ms(struct run *s)
{
    switch (s->p->delay) {
    case EXPONENTIAL:
        return 10 + prng_exponential(&s->r, 5);
    case LOGNORMAL:
        return 10 + exp(1 + 1.2 * normal(&s->r));
    case PARETO:
        return 10 + 2 * pow(1 - prng_unit(&s->r), -1 / 2.0);
    }
    UNREACHABLE();
}

/* Gilbert's model: in a burst everything is lost, and it goes on with probability 0.7 from beat to beat. */
static bool lost(struct run *s)
{
    if (s->p->kind == INDEPENDENT)
        return prng_unit(&s->r) < s->p->loss;
    double leave = 0.3, enter = leave * s->p->loss / (1 - s->p->loss);
    s->bad = s->bad ? prng_unit(&s->r) >= leave : prng_unit(&s->r) < enter;
    return s->bad;
}

static void fly(struct run *s, struct flight f)
{
    CHECK(s->flying < 4096);
    int i = s->flying++;
    for (; i && s->heap[(i - 1) / 2].at > f.at; i = (i - 1) / 2)
        s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = f;
}

static struct flight land(struct run *s)
{
    struct flight top = s->heap[0], last = s->heap[--s->flying];
    int i = 0;
    for (int k; (k = 2 * i + 1) < s->flying; i = k) {
        if (k + 1 < s->flying && s->heap[k + 1].at < s->heap[k].at)
            k++;
        if (s->heap[k].at >= last.at)
            break;
        s->heap[i] = s->heap[k];
    }
    s->heap[i] = last;
    return top;
}

static struct flight next_arrival(struct run *s)
{
    while (!s->flying || (double)s->next * s->p->interval_ms < s->heap[0].at) {
        if (!lost(s))
            fly(s, (struct flight){(double)s->next * s->p->interval_ms + delay_ms(s), s->next});
        s->next++;
    }
    return land(s);
}

struct tally {
    double *gaps, *ours, *since; /* ms: gaps between fresh arrivals; deadline - death; last arrival - death */
    size_t gap_n, death_n, cap;
    double hours;
    uint64_t early, mistakes;
};

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void one_sender(struct tally *t, const struct path *p, uint64_t seed, double warm_h, double hours)
{
    static struct run s;
    s = (struct run){.p = p};
    prng_seed(&s.r, seed);
    struct detector d;
    double rate = 1 / 3600e9, end = (warm_h + hours) * 3600e3;
    struct flight last = next_arrival(&s);
    detector_start(&d, (int64_t)(p->interval_ms * 1e6), (tick)(last.at * 1e6));
    detector_solve(&d, rate);
    for (struct flight f = next_arrival(&s); f.at < end; f = next_arrival(&s)) {
        if (f.sequence <= last.sequence)
            continue;
        double deadline = (double)detector_deadline(&d) / 1e6;
        bool alarmed = f.at > deadline;
        if (f.at < warm_h * 3600e3) {
            t->early += alarmed;
        } else {
            t->mistakes += alarmed;
            if (f.at - last.at > p->interval_ms * 0.9 && t->gap_n < t->cap)
                t->gaps[t->gap_n++] = f.at - last.at;
            double from = (double)last.sequence, to = (double)f.sequence;
            double death = (from + (to - from) * prng_unit(&s.r)) * p->interval_ms;
            if (t->death_n < t->cap && prng_unit(&s.r) < (to - from) * p->interval_ms / 60e3) {
                t->ours[t->death_n] = deadline - death;
                t->since[t->death_n++] = last.at - death;
            }
        }
        detector_beat(&d, f.sequence - last.sequence, (tick)(f.at * 1e6), alarmed, rate);
        last = f;
    }
    t->hours += hours;
}

static void row(struct tally *t, const struct path *p, uint64_t seed, int senders, double hours)
{
    static const char *const delays[] = {"exp", "lognormal", "pareto2"}, *const losses[] = {"", "burst"};
    *t = (struct tally){.gaps = t->gaps, .ours = t->ours, .since = t->since, .cap = t->cap};
    double warm = 1;
    for (int i = 0; i < senders; i++)
        one_sender(t, p, seed * 1000003 + (uint64_t)i, warm, hours);
    qsort(t->gaps, t->gap_n, sizeof *t->gaps, by_size);
    qsort(t->ours, t->death_n, sizeof *t->ours, by_size);
    qsort(t->since, t->death_n, sizeof *t->since, by_size);
    size_t k = t->mistakes + 1;
    double fixed = k <= t->gap_n ? t->gaps[t->gap_n - k] : p->interval_ms;
    double ours = t->ours[t->death_n / 2], theirs = t->since[t->death_n / 2] + fixed;
    printf("%6.1f%% %-6s %-10s %7.0f ms %9.0f h %8.2f %8.2f   %9.1f ms %9.1f ms (%9.1f) %6.3f\n", p->loss * 100,
           losses[p->kind], delays[p->delay], p->interval_ms, t->hours, (double)t->early / (senders * warm),
           (double)t->mistakes / t->hours, ours, theirs, fixed, ours / theirs);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    int senders = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 20;
    double hours = argc > 3 ? strtod(argv[3], NULL) : 20, only = argc > 4 ? strtod(argv[4], NULL) : 0;
    struct tally t = {.cap = 4 << 20};
    t.gaps = malloc(t.cap * sizeof(double) * 3);
    CHECK(t.gaps);
    t.ours = t.gaps + t.cap;
    t.since = t.ours + t.cap;
    printf("   loss        delay        interval   observed 1st hour  later   detection best fixed (timeout)  ratio\n");
    static const double losses[] = {0, 0.005, 0.02, 0.05, 0.2}, intervals[] = {100, 10, 1000, 10000};
    for (size_t i = 0; i < 4; i++) {
        if (only > 0 && only != intervals[i])
            continue;
        int n = intervals[i] < 50 ? senders / 5 + 1 : intervals[i] > 500 ? senders * 5 : senders;
        for (size_t l = 0; l < 5; l++)
            for (int kind = 0; kind <= (losses[l] > 0); kind++)
                for (int delay = 0; delay < 3; delay++)
                    row(&t, &(struct path){losses[l], (enum loss_kind)kind, (enum delay_kind)delay, intervals[i]}, seed,
                        n, hours);
    }
    free(t.gaps);
    return 0;
}
