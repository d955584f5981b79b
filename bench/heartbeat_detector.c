/* SPDX-License-Identifier: MIT */
/*
 * heartbeat_detector.c -- how good is the detector? Simulated senders over lossy, jittery paths, on the pure code.
 *
 *     heartbeat_detector [SEED [SCALE [INTERVAL_MS [mixed]]]]
 *
 * A row of the grid tells, with --false-alarms 1/hour: false alarms a sender-hour in the first hour and later, with the
 * interval that holds the true rate with 95 % (Poisson), and the median time in which deaths are seen. Beside it the
 * best fixed timeout: the shortest that makes at most as many mistakes on the very same arrivals (found afterwards,
 * with every sender's path known to be the same: no real one can do better). A ratio below 1: we are sooner; what
 * differs by at most 2 % is called equal. Behind it its sampling error, by a jackknife over tenths of the senders: it
 * only tells what is chance, and excuses nothing. The last line counts. The exit status is 1 when a row's rate is not
 * within a factor of two of the stated one, or a row is slower.
 *
 * The first hour counts for itself: what happens once an hour to a sender is known before only from the others, which
 * run side by side as in a listener: those of one row, or, `mixed`, those of all rows of an interval (0: of each),
 * where the others are mostly unlike oneself. SCALE multiplies the senders. Duplicates do not appear: the window of
 * sequence numbers keeps them from the detector.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/heartbeat/detector.h"
#include "base/check.h"
#include "heartbeat_path.h"

enum { WORST_GAPS = 1 << 16, DEATHS_MAX = 1 << 16, GROUPS = 10, NO_GROUP = GROUPS, LOSSES = 5, ROWS_MAX = 6 * LOSSES };
static const double hour_ms = 3600e3, pool_ms = 4e3, per_hour = 1 / 3600e9, equal = 0.02;

struct sample {
    double ms;
    int group; /* of the sender, for the jackknife */
};

/* A row: senders over paths of one kind. */
struct tally {
    struct path path;
    struct sample worst[WORST_GAPS]; /* between fresh beats: a heap of the longest, the shortest on top */
    size_t gaps;
    struct sample ours[DEATHS_MAX], since[DEATHS_MAX]; /* deadline - death; last arrival - death */
    size_t deaths, dead[GROUPS];
    double first_h, later_h;
    uint64_t first, later[GROUPS];
};

static int longest_first(const void *a, const void *b)
{
    double x = ((const struct sample *)a)->ms, y = ((const struct sample *)b)->ms;
    return x > y ? -1 : x < y;
}

static void keep_gap(struct tally *t, struct sample gap)
{
    size_t i;
    if (t->gaps < WORST_GAPS) {
        for (i = t->gaps++; i && t->worst[(i - 1) / 2].ms > gap.ms; i = (i - 1) / 2)
            t->worst[i] = t->worst[(i - 1) / 2];
        t->worst[i] = gap;
        return;
    }
    if (gap.ms <= t->worst[0].ms)
        return;
    i = 0;
    for (size_t k; (k = 2 * i + 1) < WORST_GAPS; i = k) {
        k += k + 1 < WORST_GAPS && t->worst[k + 1].ms < t->worst[k].ms;
        if (t->worst[k].ms >= gap.ms)
            break;
        t->worst[i] = t->worst[k];
    }
    t->worst[i] = gap;
}

struct one {
    struct tally *row;
    int group;
    struct path_run path;
    struct detector d;
    struct path_beat last, next;
};

/* Let it die, in thought, somewhere between two beats that came. */
static void keep_death(struct one *o, double deadline)
{
    struct tally *t = o->row;
    double beats = (double)(o->next.sequence - o->last.sequence), interval = t->path.interval;
    if (t->deaths == DEATHS_MAX || prng_unit(&o->path.random) > beats * interval / 60e3)
        return;
    double death = ((double)o->last.sequence + beats * prng_unit(&o->path.random)) * interval;
    t->dead[o->group]++;
    t->ours[t->deaths] = (struct sample){deadline - death, o->group};
    t->since[t->deaths++] = (struct sample){o->last.at - death, o->group};
}

static void advance(struct one *o, double until, const struct detector_aim *aim)
{
    for (; o->next.at < until; o->next = path_next(&o->path)) {
        struct path_beat b = o->next;
        if (b.sequence <= o->last.sequence)
            continue;
        double deadline = (double)detector_deadline(&o->d) / 1e6;
        bool alarmed = b.at > deadline;
        if (b.at < hour_ms) {
            o->row->first += alarmed;
        } else {
            o->row->later[o->group] += alarmed;
            keep_gap(o->row, (struct sample){b.at - o->last.at, o->group});
            keep_death(o, deadline);
        }
        detector_beat(&o->d, b.sequence - o->last.sequence, (tick)(b.at * 1e6), alarmed, aim);
        o->last = b;
    }
    CHECK(isfinite((double)o->d.allow) && o->d.allow > 0); /* if it ends here the deadline will come */
}

static void begin(struct one *o, struct tally *row, uint64_t seed, int number, const struct detector_aim *aim)
{
    *o = (struct one){.row = row, .group = number % GROUPS};
    path_start(&o->path, &row->path, seed * 1000003 + (uint64_t)number);
    o->last = path_next(&o->path);
    o->next = path_next(&o->path);
    detector_start(&o->d, (int64_t)(row->path.interval * 1e6), (tick)(o->last.at * 1e6));
    detector_solve(&o->d, aim);
}

/* `senders` of each of the rows side by side, as a listener has them: every four seconds it sums up what all of them
   saw. */
static void simulate(struct tally *row, int rows, uint64_t seed, int senders, double hours)
{
    static struct detector_pool pool;
    const struct detector_aim aim = {per_hour, &pool};
    int n = rows * senders;
    struct one *all = calloc((size_t)n, sizeof *all);
    CHECK(all);
    pool = (struct detector_pool){.class[0].beats = 0};
    for (int i = 0; i < n; i++)
        begin(&all[i], &row[i / senders], seed, i % senders, &aim);
    for (double now = pool_ms; now <= hours * hour_ms; now += pool_ms) {
        for (int i = 0; i < n; i++)
            advance(&all[i], now, &aim);
        pool = (struct detector_pool){.class[0].beats = 0};
        for (int i = 0; i < n; i++)
            detector_pool_add(&pool, &all[i].d);
    }
    free(all);
    for (int i = 0; i < rows; i++) {
        row[i].first_h = senders * fmin(hours, 1);
        row[i].later_h = senders * fmax(hours - 1, 0);
    }
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

struct medians {
    double ours, fixed, timeout; /* ms */
};

/* The k-th of the sorted samples, the group `without` left out. */
static double kth(const struct sample *s, size_t n, size_t k, int without)
{
    for (size_t i = 0; i < n; i++)
        if (s[i].group != without && !k--)
            return s[i].ms;
    UNREACHABLE();
}

static struct medians medians(const struct tally *t, int without)
{
    size_t deaths = 0, later = 0;
    for (int g = 0; g < GROUPS; g++) {
        deaths += g == without ? 0 : t->dead[g];
        later += g == without ? 0 : t->later[g];
    }
    double timeout = kth(t->worst, t->gaps, later, without);
    return (struct medians){kth(t->ours, t->deaths, deaths / 2, without),
                            kth(t->since, t->deaths, deaths / 2, without) + timeout, timeout};
}

static double ratio_error(const struct tally *t)
{
    double sum = 0, squares = 0;
    for (int g = 0; g < GROUPS; g++) {
        struct medians m = medians(t, g);
        sum += m.ours / m.fixed;
        squares += m.ours / m.fixed * m.ours / m.fixed;
    }
    return sqrt(fmax(squares - sum * sum / GROUPS, 0) * (GROUPS - 1) / GROUPS);
}

static void print_row(struct verdict *v, struct tally *t)
{
    static const char *const delays[] = {"exponential", "lognormal", "pareto"};
    qsort(t->worst, t->gaps, sizeof *t->worst, longest_first);
    qsort(t->ours, t->deaths, sizeof *t->ours, longest_first);
    qsort(t->since, t->deaths, sizeof *t->since, longest_first);
    double later = 0;
    for (int g = 0; g < GROUPS; g++)
        later += (double)t->later[g];
    double rate = later / t->later_h, least = pow(fmax(sqrt(later) - 0.98, 0), 2) / t->later_h,
           most = pow(sqrt(later) + 0.98, 2) / t->later_h;
    bool right = rate >= 0.5 && rate <= 2;
    v->rows++;
    v->wrong += !right;
    struct medians m = medians(t, NO_GROUP);
    printf("%7.0f ms %4.1f%% %-5s %-11s %6.0f  %5.2f %6.2f [%4.2f-%4.2f]%s %11.1f %11.1f %11.1f  %6.3f +- %.3f %s\n",
           t->path.interval, t->path.loss * 100, t->path.burst ? "burst" : "", delays[t->path.delay], t->later_h,
           (double)t->first / t->first_h, rate, least, most, right ? "  " : " !", m.ours, m.fixed, m.timeout,
           m.ours / m.fixed, ratio_error(t), compare(v, m.ours / m.fixed));
    fflush(stdout);
}

static int paths(struct tally *row, double interval)
{
    static const double losses[LOSSES] = {0, 0.005, 0.02, 0.05, 0.2};
    int n = 0;
    for (size_t l = 0; l < LOSSES; l++)
        for (int burst = 0; burst <= (losses[l] > 0); burst++)
            for (int delay = DELAY_EXPONENTIAL; delay <= DELAY_PARETO; delay++)
                row[n++].path = (struct path){interval, losses[l], burst, (enum path_delay)delay};
    return n;
}

static void group(struct verdict *v, double interval, uint64_t seed, int senders, double hours, bool mixed)
{
    struct tally *row = calloc(ROWS_MAX, sizeof *row);
    CHECK(row);
    int n = paths(row, interval);
    if (mixed)
        simulate(row, n, seed, senders, hours);
    for (int i = 0; i < n; i++) {
        if (!mixed)
            simulate(row + i, 1, seed, senders, hours);
        print_row(v, row + i);
    }
    free(row);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    double scale = argc > 2 ? strtod(argv[2], NULL) : 1, only = argc > 3 ? strtod(argv[3], NULL) : 0;
    bool mixed = argc > 4 && strcmp(argv[4], "mixed") == 0;
    static const struct {
        double ms, hours;
        int senders;
    } groups[] = {{100, 11, 10}, {10, 11, 4}, {1000, 11, 20}, {10000, 41, 20}};
    struct verdict v = {.slowest = 0};
    printf("%-37s %6s  false alarms an hour, 1 stated    deaths are seen in ms (median)\n"
           "  interval  loss       delay           hours  1st h.  later [95 %%]       ours   best fixed   (timeout)   "
           "ratio\n",
           "", "sender-");
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
        if (only == 0 || only == groups[g].ms)
            group(&v, groups[g].ms, seed, (int)ceil(groups[g].senders * scale), groups[g].hours, mixed);
    printf("%d rows: rate within a factor of two of the stated one in %d; deaths seen sooner than by the best fixed "
           "timeout in %d, equally soon in %d, later in %d (at most %.3f times)\n",
           v.rows, v.rows - v.wrong, v.sooner, v.rows - v.sooner - v.slower, v.slower, v.slowest);
    return v.wrong > 0 || v.slower > 0;
}
