/* SPDX-License-Identifier: MIT */
/* detector_solve.c -- the model that a detector makes of what it and others have seen, and the deadline by it. */
#include <math.h>
#include <stddef.h>

#include "app/heartbeat/detector_counts.h"

enum { RUN_TABLE = 256 };
/* What is assumed before anything is seen: half a loss in ten beats, then every fourth run goes on; delays
   beyond the bulk fall with the square. Pseudo-counts this small are outweighed by a few observations. */
#define PRIOR_LOSS   0.05
#define PRIOR_RUN_ON 0.25
#define PRIOR_TAIL   0.25
#define PRIOR_HELD   1e-4
#define PRIOR_HITS   0.5  /* the weight of a prior hazard: as if half a survivor had been seen, at least one try */
#define POOL_HITS    32.0 /* and at most of what the other senders tell */
#define CHANCE       4.0  /* two standard deviations, squared: so far a belief and what is seen differ by chance */
/* What the model does not know -- loss and delay are not quite independent, and where the rate lies between "two
   missing" and "three missing" no deadline has it -- experience corrects. The truth is taken to be the model's rate
   times a factor with a gamma prior of weight LEAN_PRIOR around 1: after as many alarms as the model foresaw it is
   still 1, and it is learned as fast as alarms, or their absence, tell. The model is asked for the stated rate divided
   by it, so in the long run the measured rate is the stated one whatever the path is like. */
#define LEAN_PRIOR  1.0
#define LEAN_OTHERS 4.0 /* how far others may lean on somebody */
#define LEAN_LEAST  (-4.0)
#define LEAN_MOST   7.0
#define SOLVE_TIMES 0.4 /* mean times between alarms after which the deadline is worked out again, at the latest */
/* Where the rate falls by steps of one missing beat, a small error of the model would move the deadline by a whole
   interval to and fro, which costs more time than it saves alarms. A step whose rate is a little above the one asked
   for is taken, and one a little below is believed to be what it says, instead of leaning on it until the deadline
   moves. Between two steps the rate hardly falls: there 15 % of it are not bought with milliseconds. Where it falls
   steeply, down to such a step, a 64th of an interval buys what it can, as far as a little below. */
#define STEP_ABOVE        1.4
#define FLAT_ABOVE        1.15
#define STEP_BELOW        1.3
#define STEEP             64
#define STEEP_END         1.02
#define EXACT             65536 /* parts of an interval to which a deadline is worked out */
#define RUN_LEAST         1e-12 /* rarer runs are left out */
#define TAIL_HAZARD_LEAST 0.02  /* no extrapolation steeper than this an octave: nature is not that kind */
#define TAIL_HAZARD_MOST  0.5

static double late_edge(int unit, int i)
{
    double u = ldexp(1, unit);
    return i < LATE_NEGATIVE ? -ldexp(u, LATE_NEGATIVE - 1 - i) : ldexp(u, i - LATE_NEGATIVE);
}

/* Both survival functions at their edges, as logarithms. */
struct survival {
    double late[DETECTOR_LATE], runs[DETECTOR_RUNS];
    double swapped;    /* P(two beats changed places): then a jump by two ends with the first of them */
    double late_slope; /* d ln S / d ln x past the last edge */
    double run_slope;  /* ln of the hazard a step past the last edge */
    double edge[DETECTOR_LATE];
    float run[RUN_TABLE]; /* P(jump >= m), for the jumps that matter */
    int run_n;
};

struct trials {
    double tried, survived;
};

/* The weight, in trials, of a belief that foretold `foreseen` of `tried` where `seen` were. What may be chance leaves
   it as it is; beyond, the difference itself measures how far senders differ (as in the estimate of James and Stein for
   one mean), so a belief that does not fit is given up as fast as evidence comes. */
static double weight_left(double weight, double tried, double seen, double foreseen, double variance)
{
    double z2 = (seen - foreseen) * (seen - foreseen) / (variance + 1);
    return z2 > CHANCE ? fmin(weight, fmax(1, tried / (z2 - CHANCE))) : weight;
}

/* The chance to go on: `prior` is corrected by what `all` senders of the class saw without this one, and that by what
   this one saw, each in the measure of its evidence. */
static double hazard_of(struct trials own, struct trials all, double prior)
{
    double others = fmax(all.tried - own.tried, 0), survived = fmin(fmax(all.survived - own.survived, 0), others);
    double least = fmax(1, PRIOR_HITS / prior), p = (survived + least * prior) / (others + least);
    double weight = fmax(fmax(1, PRIOR_HITS / p), fmin(POOL_HITS / p, others)), foreseen = own.tried * p;
    weight = weight_left(weight, own.tried, own.survived, foreseen, foreseen * (1 - p));
    return (own.survived + weight * p) / (own.tried + weight);
}

/* What all senders of the class saw between late edge i - 1 and i. */
static struct trials late_of_all(const struct detector_class *all, int unit, int i)
{
    int e = unit - DETECTOR_OCTAVE + i - 1 - LATE_NEGATIVE;
    if (!all || i <= LATE_NEGATIVE || e < 0 || e >= DETECTOR_OCTAVES)
        return (struct trials){0, 0};
    return (struct trials){all->late_tried[e], all->late[e]};
}

static void survive_late(const struct detector *d, const struct detector_class *all, struct survival *s)
{
    double above[DETECTOR_LATE + 1], sum = 0;
    int unit = d->unit ? d->unit : ilogb(d->period / 64);
    for (int i = DETECTOR_LATE - 1; i >= 0; i--)
        above[i] = sum += detector_count(d->late[i]);
    double total = fmax(sum, d->beats > WARM ? d->beats - WARM : 0), ln = 0, prior = 0.9;
    for (int i = 0; i < DETECTOR_LATE; i++) {
        struct trials own = {i ? above[i - 1] : total, above[i]};
        double hazard = hazard_of(own, late_of_all(all, unit, i), prior);
        ln += log(fmin(hazard, 1));
        s->late[i] = ln;
        s->edge[i] = late_edge(unit, i);
        prior = i < LATE_NEGATIVE + 2 ? (i < LATE_NEGATIVE ? 0.7 : PRIOR_TAIL)
                                      : fmax(TAIL_HAZARD_LEAST, fmin(hazard, TAIL_HAZARD_MOST));
    }
    s->late_slope = log(prior) / M_LN2;
}

static void survive_runs(const struct detector *d, const struct detector_class *all, struct survival *s)
{
    double above[DETECTOR_RUNS], sum = 0;
    for (int i = DETECTOR_RUNS - 1; i >= 0; i--)
        above[i] = sum += detector_count(d->runs[i]);
    struct trials own = {d->beats, above[0]}, pool = {0, 0};
    if (all)
        pool = (struct trials){all->beats, all->runs[0]};
    double ln = log(hazard_of(own, pool, PRIOR_LOSS)), step = log(PRIOR_RUN_ON);
    s->runs[0] = ln;
    for (int i = 1; i < DETECTOR_RUNS; i++) {
        double width = detector_run_edge[i] - detector_run_edge[i - 1];
        own = (struct trials){above[i - 1], above[i]};
        if (all)
            pool = (struct trials){all->runs[i - 1], all->runs[i]};
        double hazard = hazard_of(own, pool, exp(step * width));
        step = fmin(log(hazard) / width, -0.01);
        ln += step * width;
        s->runs[i] = ln;
    }
    s->run_slope = step;
}

static double late_ln(const struct survival *s, double x)
{
    if (x <= s->edge[0])
        return x < 2 * s->edge[0] ? 0 : s->late[0] * (x / s->edge[0] - 2) / -1.0;
    if (x >= s->edge[DETECTOR_LATE - 1])
        return s->late[DETECTOR_LATE - 1] + s->late_slope * log(x / s->edge[DETECTOR_LATE - 1]);
    int i = 0;
    while (s->edge[i + 1] <= x)
        i++;
    double f = (x - s->edge[i]) / (s->edge[i + 1] - s->edge[i]);
    return s->late[i] + f * (s->late[i + 1] - s->late[i]);
}

static double runs_ln(const struct survival *s, int m)
{
    if (m <= 1)
        return 0;
    if (m >= detector_run_edge[DETECTOR_RUNS - 1])
        return s->runs[DETECTOR_RUNS - 1] + s->run_slope * (m - detector_run_edge[DETECTOR_RUNS - 1]);
    int i = 0;
    while (detector_run_edge[i + 1] <= m)
        i++;
    double f = (double)(m - detector_run_edge[i]) / (detector_run_edge[i + 1] - detector_run_edge[i]);
    return s->runs[i] + f * (s->runs[i + 1] - s->runs[i]);
}

static double run_at(const struct survival *s, int m)
{
    return m < s->run_n ? (double)s->run[m] : m < RUN_TABLE ? 0 : exp(runs_ln(s, m));
}

static double mistakes(const struct survival *s, double period, double allow)
{
    double sum = 0, q = 1, mean = 0;
    for (int m = 1; m <= DETECTOR_JUMP_MAX && q > RUN_LEAST; m++) {
        double next = run_at(s, m + 1), x = allow - m * period;
        mean += q;
        if (x < 2 * s->edge[0]) {
            sum += q; /* every longer jump is later than the deadline as well */
            break;
        }
        double late = exp(late_ln(s, x)), swapped = m == 2 ? fmin(s->swapped, q - next) : 0;
        sum += (q - next - swapped) * late + swapped * late * late;
        q = next;
    }
    return sum / (period * mean);
}

static void survive(const struct detector *d, const struct detector_class *all, struct survival *s)
{
    survive_late(d, all, s);
    survive_runs(d, all, s);
    struct trials own = {d->beats, detector_count(d->held)}, pool = {0, 0};
    if (all)
        pool = (struct trials){all->beats, all->held};
    s->swapped = 2 * hazard_of(own, pool, PRIOR_HELD);
    for (s->run_n = 0; s->run_n < RUN_TABLE; s->run_n++)
        if ((s->run[s->run_n] = (float)exp(runs_ln(s, s->run_n))) < (float)RUN_LEAST)
            break;
}

double detector_rate(const struct detector *d, double allow)
{
    struct survival s;
    survive(d, NULL, &s);
    return mistakes(&s, d->period, allow);
}

static double solve_for(const struct detector *d, const struct survival *s, double rate)
{
    double low = d->period / 2, high = d->period * 2;
    while (high < d->period * DETECTOR_JUMP_MAX && mistakes(s, d->period, high) > rate) {
        low = high;
        high *= 2;
    }
    for (double exact = fmax(s->edge[LATE_NEGATIVE] / 4, d->period / EXACT); high - low > exact;) {
        double middle = (low + high) / 2;
        *(mistakes(s, d->period, middle) > rate ? &low : &high) = middle;
    }
    return high;
}

static int class_of(double period)
{
    int e = ilogb(period) - DETECTOR_OCTAVE_PERIOD;
    return e < 0 ? 0 : e < DETECTOR_CLASSES ? e : DETECTOR_CLASSES - 1;
}

/* ln of what the model is asked for, against what is stated. The others' alarms tell what factor to expect; when they
   tell of more than they may, only that much is believed, and not firmly. */
static double lean(const struct detector *d, const struct detector_class *all)
{
    double alarms = (double)d->alarms, foreseen = (double)d->foreseen;
    double theirs = all ? fmax(all->alarms - alarms, 0) : 0, model = all ? fmax(all->foreseen - foreseen, 0) : 0;
    double told = (theirs + LEAN_PRIOR) / (model + LEAN_PRIOR);
    double factor = fmax(1 / LEAN_OTHERS, fmin(LEAN_OTHERS, told)), expected = foreseen * factor;
    bool firm = told <= LEAN_OTHERS && told >= 1 / LEAN_OTHERS;
    double weight = firm ? fmax(LEAN_PRIOR, fmin(POOL_HITS, theirs)) : LEAN_PRIOR;
    weight = weight_left(weight, expected, alarms, expected, expected);
    double ln = log((foreseen + weight / factor) / (alarms + weight));
    return fmax(LEAN_LEAST, fmin(LEAN_MOST, ln));
}

static double choose(const struct detector *d, const struct survival *s, double ask)
{
    double allow = solve_for(d, s, ask);
    double flat = solve_for(d, s, ask * FLAT_ABOVE), step = solve_for(d, s, ask * STEP_ABOVE);
    allow = flat < allow - d->period / 64 ? flat : allow;
    allow = step < allow - d->period / 2 ? step : allow;
    double end = fmax(mistakes(s, d->period, allow + d->period / STEEP) * STEEP_END, ask / STEP_BELOW);
    return end < mistakes(s, d->period, allow) ? solve_for(d, s, end) : allow;
}

void detector_solve(struct detector *d, const struct detector_aim *aim)
{
    d->solve_in = 4;
    if (d->period <= 0)
        return;
    double wait = fmin((double)d->beats / 8 + 4, SOLVE_TIMES / (aim->rate * d->period) + 1);
    d->solve_in = (uint16_t)fmin(wait, 1024);
    const struct detector_class *all = aim->others ? &aim->others->class[class_of(d->period)] : NULL;
    struct survival s;
    survive(d, all, &s);
    double ask = aim->rate * exp(lean(d, all)), allow = choose(d, &s, ask);
    d->allow = (float)allow;
    d->claim = (float)(fmax(mistakes(&s, d->period, allow), ask / STEP_BELOW) / aim->rate);
}

tick detector_deadline(const struct detector *d)
{
    return d->base + (tick)d->allow;
}

/* ---- What all senders saw ---- */

void detector_pool_add(struct detector_pool *pool, const struct detector *d)
{
    if (d->period <= 0)
        return;
    struct detector_class *c = &pool->class[class_of(d->period)];
    double runs = 0;
    c->beats += d->beats;
    c->held += detector_count(d->held);
    c->foreseen += (double)d->foreseen;
    c->alarms += (double)d->alarms;
    for (int i = DETECTOR_RUNS - 1; i >= 0; i--)
        c->runs[i] += runs += detector_count(d->runs[i]);
    if (!d->unit)
        return;
    double late = detector_count(d->late[DETECTOR_LATE - 1]);
    for (int i = DETECTOR_LATE - 2; i >= LATE_NEGATIVE; i--) {
        int e = d->unit - DETECTOR_OCTAVE + i - LATE_NEGATIVE;
        c->late[e] += late;
        c->late_tried[e] += late += detector_count(d->late[i]);
    }
}
