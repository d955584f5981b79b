/* SPDX-License-Identifier: MIT */
/*
 * heartbeat_detector.c -- how good is the detector? Simulated senders over lossy, jittery paths, on the pure code.
 *
 *     heartbeat_detector [SEED [SCALE [INTERVAL_MS]]]
 *
 * A row of the grid tells, with --false-alarms 1/hour: false alarms a sender-hour in the first hour and later, with the
 * interval that holds the true rate with 95 % (Poisson), and the median time in which deaths are seen. Beside it the
 * best fixed timeout: the one that makes exactly as many mistakes on the very same arrivals (found afterwards, with
 * every sender's path known to be the same: no real one can do better). A ratio below 1: we are sooner; what differs
 * by at most 2 % is called equal. The last line counts. The exit status is 1 when a row's rate is not within a factor
 * of two of the stated one.
 *
 * The first hour counts for itself: what happens once an hour to a sender is known before only from the others, which
 * run side by side as in a listener. SCALE multiplies the senders. Duplicates do not appear: the window of sequence
 * numbers keeps them from the detector.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/heartbeat/detector.h"
#include "base/check.h"
#include "heartbeat_path.h"

enum { WORST_GAPS = 1 << 16, DEATHS_MAX = 1 << 16 };
static const double hour_ms = 3600e3, pool_ms = 4e3, per_hour = 1 / 3600e9, equal = 0.02;

struct tally {
    double worst[WORST_GAPS]; /* ms between fresh beats: a heap of the longest, the shortest on top */
    size_t gaps;
    double ours[DEATHS_MAX], since[DEATHS_MAX]; /* ms: deadline - death; last arrival - death */
    size_t deaths;
    double first_h, later_h;
    uint64_t first, later;
};

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void keep_gap(struct tally *t, double gap)
{
    size_t i;
    if (t->gaps < WORST_GAPS) {
        for (i = t->gaps++; i && t->worst[(i - 1) / 2] > gap; i = (i - 1) / 2)
            t->worst[i] = t->worst[(i - 1) / 2];
        t->worst[i] = gap;
        return;
    }
    if (gap <= t->worst[0])
        return;
    i = 0;
    for (size_t k; (k = 2 * i + 1) < WORST_GAPS; i = k) {
        k += k + 1 < WORST_GAPS && t->worst[k + 1] < t->worst[k];
        if (t->worst[k] >= gap)
            break;
        t->worst[i] = t->worst[k];
    }
    t->worst[i] = gap;
}

/* Let it die, in thought, somewhere between two beats that came. */
static void keep_death(struct tally *t, struct path_run *s, struct path_beat last, uint64_t next, double deadline)
{
    double beats = (double)(next - last.sequence), interval = s->path->interval;
    if (t->deaths == DEATHS_MAX || prng_unit(&s->random) > beats * interval / 60e3)
        return;
    double death = ((double)last.sequence + beats * prng_unit(&s->random)) * interval;
    t->ours[t->deaths] = deadline - death;
    t->since[t->deaths++] = last.at - death;
}

struct one {
    struct path_run path;
    struct detector d;
    struct path_beat last, next;
};

static void advance(struct tally *t, struct one *o, double until, const struct detector_aim *aim)
{
    for (; o->next.at < until; o->next = path_next(&o->path)) {
        struct path_beat b = o->next;
        if (b.sequence <= o->last.sequence)
            continue;
        double deadline = (double)detector_deadline(&o->d) / 1e6;
        bool alarmed = b.at > deadline;
        if (b.at < hour_ms) {
            t->first += alarmed;
        } else {
            t->later += alarmed;
            keep_gap(t, b.at - o->last.at);
            keep_death(t, &o->path, o->last, b.sequence, deadline);
        }
        detector_beat(&o->d, b.sequence - o->last.sequence, (tick)(b.at * 1e6), alarmed, aim);
        o->last = b;
    }
    CHECK(isfinite((double)o->d.allow) && o->d.allow > 0); /* if it ends here the deadline will come */
}

/* Side by side, as a listener has them: every four seconds it sums up what all of them saw. */
static void all_senders(struct tally *t, const struct path *p, uint64_t seed, int senders, double hours)
{
    static struct detector_pool pool;
    const struct detector_aim aim = {per_hour, &pool};
    struct one *all = calloc((size_t)senders, sizeof *all);
    CHECK(all);
    pool = (struct detector_pool){.class[0].beats = 0};
    for (int i = 0; i < senders; i++) {
        path_start(&all[i].path, p, seed * 1000003 + (uint64_t)i);
        all[i].last = path_next(&all[i].path);
        all[i].next = path_next(&all[i].path);
        detector_start(&all[i].d, (int64_t)(p->interval * 1e6), (tick)(all[i].last.at * 1e6));
        detector_solve(&all[i].d, &aim);
    }
    for (double now = pool_ms; now <= hours * hour_ms; now += pool_ms) {
        for (int i = 0; i < senders; i++)
            advance(t, &all[i], now, &aim);
        pool = (struct detector_pool){.class[0].beats = 0};
        for (int i = 0; i < senders; i++)
            detector_pool_add(&pool, &all[i].d);
    }
    free(all);
    t->first_h = senders * fmin(hours, 1);
    t->later_h = senders * fmax(hours - 1, 0);
}

struct verdict { /* rows */
    int rows, wrong, sooner, slower;
    double slowest;
};

static const char *compare(struct verdict *v, double ratio)
{
    v->slowest = ratio > v->slowest ? ratio : v->slowest;
    if (ratio > 1 + equal)
        return v->slower++, "slower";
    if (ratio < 1 - equal)
        return v->sooner++, "sooner";
    return "equal";
}

static void simulate(struct tally *t, const struct path *p, uint64_t seed, int senders, double hours)
{
    t->gaps = t->deaths = t->first = t->later = 0;
    all_senders(t, p, seed, senders, hours);
    qsort(t->worst, t->gaps, sizeof *t->worst, by_size);
    qsort(t->ours, t->deaths, sizeof *t->ours, by_size);
    qsort(t->since, t->deaths, sizeof *t->since, by_size);
    CHECK(t->later < t->gaps && t->deaths);
}

static void row(struct verdict *v, const struct path *p, uint64_t seed, int senders, double hours)
{
    static const char *const delays[] = {"exponential", "lognormal", "pareto"};
    static struct tally t;
    simulate(&t, p, seed, senders, hours);
    double fixed = t.worst[t.gaps - t.later - 1], ours = t.ours[t.deaths / 2], theirs = t.since[t.deaths / 2] + fixed;
    double rate = (double)t.later / t.later_h, root = sqrt((double)t.later);
    double least = pow(fmax(root - 0.98, 0), 2) / t.later_h, most = pow(root + 0.98, 2) / t.later_h;
    bool right = rate >= 0.5 && rate <= 2;
    v->rows++;
    v->wrong += !right;
    printf("%7.0f ms %4.1f%% %-5s %-11s %6.0f  %5.2f %6.2f [%4.2f-%4.2f]%s %11.1f %11.1f %11.1f  %6.3f %s\n",
           p->interval, p->loss * 100, p->burst ? "burst" : "", delays[p->delay], t.later_h,
           (double)t.first / t.first_h, rate, least, most, right ? "  " : " !", ours, theirs, fixed, ours / theirs,
           compare(v, ours / theirs));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    double scale = argc > 2 ? strtod(argv[2], NULL) : 1, only = argc > 3 ? strtod(argv[3], NULL) : 0;
    static const struct {
        double ms, hours;
        int senders;
    } groups[] = {{100, 11, 10}, {10, 11, 4}, {1000, 11, 20}, {10000, 41, 20}};
    static const double losses[] = {0, 0.005, 0.02, 0.05, 0.2};
    struct verdict v = {.slowest = 0};
    printf("%-37s %6s  false alarms an hour, 1 stated    deaths are seen in ms (median)\n"
           "  interval  loss       delay           hours  1st h.  later [95 %%]       ours   best fixed   (timeout)   "
           "ratio\n",
           "", "sender-");
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
        for (size_t l = 0; (only == 0 || only == groups[g].ms) && l < sizeof losses / sizeof *losses; l++)
            for (int burst = 0; burst <= (losses[l] > 0); burst++)
                for (int delay = DELAY_EXPONENTIAL; delay <= DELAY_PARETO; delay++) {
                    struct path p = {groups[g].ms, losses[l], burst, (enum path_delay)delay};
                    row(&v, &p, seed, (int)ceil(groups[g].senders * scale), groups[g].hours);
                }
    printf("%d rows: rate within a factor of two of the stated one in %d; deaths seen sooner than by the best fixed "
           "timeout "
           "in %d, equally soon in %d, later in %d (at most %.3f times)\n",
           v.rows, v.rows - v.wrong, v.sooner, v.rows - v.sooner - v.slower, v.slower, v.slowest);
    return v.wrong > 0;
}
