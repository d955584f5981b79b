/* SPDX-License-Identifier: MIT */
#include "app/heartbeat/detector.h"

#include <math.h>
#include <string.h>

#include "dgram/beat_packet.h"

enum {
    LATE_NEGATIVE = 4, /* edges -8u -4u -2u -u, then u 2u 4u ... */
    YOUNG = 32,        /* beats over which the base is a plain mean; afterwards it moves by 1/32 of the error */
    WARM = 8,          /* beats before the unit is chosen */
    UNIT_MIN = DETECTOR_OCTAVE, /* 1 us: below it nothing is worth telling apart */
    UNIT_MAX = DETECTOR_OCTAVE_UNIT,
    RUN_TABLE = 256,
};
/* What is assumed before anything is seen: half a loss in ten beats, then every fourth run goes on; delays
   beyond the bulk fall with the square. Pseudo-counts this small are outweighed by a few observations. */
#define PRIOR_LOSS   0.05
#define PRIOR_RUN_ON 0.25
#define PRIOR_TAIL   0.25
#define PRIOR_HELD   1e-4
#define PRIOR_HITS   0.5  /* the weight of a prior hazard: as if half a survivor had been seen, at least one try */
#define POOL_HITS    32.0 /* and at most of what the other senders tell */
#define CHANCE       4.0  /* two standard deviations, squared: so far a belief and what is seen differ by chance */
#define HELD_NEAR    4.0  /* mean deviations around a later beat's time: who comes then was held back */
/* What the model does not know -- loss and delay are not quite independent, and where the rate lies between "two
   missing" and "three missing" no deadline has it -- experience corrects. The truth is taken to be the model's rate
   times a factor with a gamma prior of weight LEAN_PRIOR around 1: after as many alarms as the model foresaw it is
   still 1, and it is learned as fast as alarms, or their absence, tell. The model is asked for the stated rate divided
   by it, so in the long run the measured rate is the stated one whatever the path is like. */
#define LEAN_PRIOR  1.0
#define LEAN_OTHERS 4.0  /* how far others may lean on somebody */
#define LEAN_MEMORY 32.0 /* mean times between alarms after which experience fades; */
#define LEAN_AGE    2.0  /* while younger, so many ages: what a model foresaw that had seen little is soon forgotten */
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
#define MEMORY_TARGETS    16.0 /* remember so many mean times between mistakes, then halve the counts */
#define MEMORY_LEAST      (1 << 16)

_Static_assert(UNIT_MAX - UNIT_MIN + DETECTOR_LATE - 2 - LATE_NEGATIVE < DETECTOR_OCTAVES, "a pool has every edge");
static const uint16_t run_edge[DETECTOR_RUNS] = {2, 3, 4, 5, 7, 9, 13, 17, 33, 65};

/* Floating counters: 4 bits of exponent, 12 of mantissa. Exact to 4,095; above, a step of 2^e is taken with
   probability 2^-e, which keeps the relative error below 2 % at two bytes a counter. */
static uint32_t count_get(uint16_t c)
{
    return (uint32_t)(c & 0xfff) << (c >> 12);
}

static void count_step(uint16_t *c, uint32_t chance)
{
    unsigned e = *c >> 12;
    if (chance & ((1u << e) - 1))
        return;
    if ((*c & 0xfff) < 0xfff)
        ++*c;
    else if (e < 15)
        *c = (uint16_t)((e + 1) << 12 | 0x800);
}

static void count_halve(uint16_t *c, uint32_t chance)
{
    unsigned e = *c >> 12, m = *c & 0xfff;
    if (e)
        *c = (uint16_t)((e - 1) << 12 | m);
    else
        *c = (uint16_t)(m / 2 + (m & chance & 1));
}

static uint32_t chance_of(tick arrival, uint32_t salt)
{
    uint64_t x = ((uint64_t)arrival + salt) * UINT64_C(0x9E3779B97F4A7C15);
    x ^= x >> 32;
    return (uint32_t)((x * UINT64_C(0xD6E8FEB86659FD93)) >> 32);
}

static double late_edge(int unit, int i)
{
    double u = ldexp(1, unit);
    return i < LATE_NEGATIVE ? -ldexp(u, LATE_NEGATIVE - 1 - i) : ldexp(u, i - LATE_NEGATIVE);
}

/* Bin i holds what is at or above edge i and below edge i + 1; what is below the first edge is in no bin. */
static int late_bin(const struct detector *d, double x)
{
    double v = ldexp(fabs(x), -d->unit);
    int octave = v < 1 ? -1 : ilogb(v);
    if (octave < 0)
        return LATE_NEGATIVE - 1;
    if (x > 0)
        return octave > DETECTOR_LATE - 1 - LATE_NEGATIVE ? DETECTOR_LATE - 1 : LATE_NEGATIVE + octave;
    return octave > LATE_NEGATIVE - 1 ? -1 : LATE_NEGATIVE - 2 - octave;
}

static void late_shift(struct detector *d, int up)
{
    for (; up > 0; up--) { /* the unit doubles: each bin moves one edge towards the centre, u..2u joins the centre */
        uint32_t centre = count_get(d->late[LATE_NEGATIVE - 2]) + count_get(d->late[LATE_NEGATIVE - 1]) +
                          count_get(d->late[LATE_NEGATIVE]);
        memmove(d->late + LATE_NEGATIVE, d->late + LATE_NEGATIVE + 1, (DETECTOR_LATE - LATE_NEGATIVE - 1) * 2);
        d->late[DETECTOR_LATE - 1] = 0;
        memmove(d->late + 1, d->late, (LATE_NEGATIVE - 2) * 2);
        d->late[0] = 0;
        unsigned e = 0;
        for (; centre > 0xfff; centre >>= 1)
            e++;
        d->late[LATE_NEGATIVE - 1] = (uint16_t)(e << 12 | centre);
        d->unit++;
    }
    for (; up < 0; up++) {
        memmove(d->late + LATE_NEGATIVE + 1, d->late + LATE_NEGATIVE, (DETECTOR_LATE - LATE_NEGATIVE - 1) * 2);
        d->late[LATE_NEGATIVE] = 0;
        memmove(d->late, d->late + 1, (LATE_NEGATIVE - 2) * 2);
        d->late[LATE_NEGATIVE - 2] = 0;
        d->unit--;
    }
}

static void follow_unit(struct detector *d)
{
    if (d->jitter <= 0 && d->unit)
        return;
    int want = d->jitter > 4 ? ilogbf(d->jitter / 4) : 0;
    want = want < UNIT_MIN ? UNIT_MIN : want > UNIT_MAX ? UNIT_MAX : want;
    if (!d->unit)
        d->unit = (int8_t)want;
    else if (want > d->unit + 1)
        late_shift(d, want - d->unit - 1);
    else if (want < d->unit - 1)
        late_shift(d, want - d->unit + 1);
}

void detector_start(struct detector *d, int64_t interval, tick arrival)
{
    *d = (struct detector){.base = arrival, .period = (double)interval, .solve_in = 1, .young = 1};
    d->jitter = (float)interval / 64;
}

void detector_rebase(struct detector *d, tick arrival)
{
    d->base = arrival;
    d->young = 1;
}

static void learn_counts(struct detector *d, uint64_t jump, double late, tick arrival)
{
    uint32_t chance = chance_of(arrival, 0);
    int run = -1;
    while (run + 1 < DETECTOR_RUNS && run_edge[run + 1] <= jump)
        run++;
    if (run >= 0)
        count_step(&d->runs[run], chance);
    if (d->unit) {
        int bin = late_bin(d, late);
        if (bin >= 0)
            count_step(&d->late[bin], chance);
    }
    d->beats++;
}

static void learn_beat(struct detector *d, uint64_t jump, double late, tick arrival)
{
    double n = round(late / d->period), rest = late - n * d->period, near = HELD_NEAR * (double)d->jitter;
    bool held = n >= 1 && n <= DETECTOR_JUMP_MAX && near < d->period / 4 && fabs(rest) < near;
    learn_counts(d, held ? jump + (uint64_t)n : jump, held ? rest : late, arrival);
    if (held && jump == 1 && n < 2)
        count_step(&d->held, chance_of(arrival, 0));
}

static void forget_half(struct detector *d, tick arrival)
{
    d->beats /= 2;
    for (int i = 0; i < DETECTOR_LATE; i++)
        count_halve(&d->late[i], chance_of(arrival, 1u + (uint32_t)i));
    for (int i = 0; i < DETECTOR_RUNS; i++)
        count_halve(&d->runs[i], chance_of(arrival, 101u + (uint32_t)i));
    count_halve(&d->held, chance_of(arrival, 201));
}

/* An alpha-beta filter on the arrival times, with the error clipped so that one stray beat moves little. A beat
   far too early, or one that came after the alarm, says that the base is wrong: take it as the new one. */
static void follow_base(struct detector *d, uint64_t jump, tick foretold, double late, bool alarmed)
{
    double n = d->young < YOUNG ? d->young + 1 : YOUNG;
    double clip = 4.0 * (double)d->jitter;
    bool jumped = alarmed && late > d->period / 2;
    if (d->young >= WARM && (jumped || late < -8.0 * (double)d->jitter)) {
        d->base = foretold + (tick)late;
        d->young = WARM;
        return;
    }
    double e = d->young < WARM ? late : fmax(-clip, fmin(clip, late));
    d->base = foretold + (tick)(e / n);
    d->period = fmin(d->period + e / (n * n * 4) / (double)jump, (double)BEAT_INTERVAL_MAX);
    if (d->young < 255)
        d->young++;
}

static double period_guess(const struct detector *d, uint64_t jump, tick arrival)
{
    return (double)(arrival - d->base) / (double)jump;
}

/* `beat`: alarms, at the stated rate, from one beat to the next. */
static void learn_rate(struct detector *d, double beat, uint64_t jump, bool alarmed)
{
    double expected = beat * (double)jump, memory = fmin(LEAN_MEMORY, LEAN_AGE * beat * d->beats);
    double keep = 1 - fmin(expected / fmax(memory, 1), 1);
    d->foreseen = (float)(((double)d->foreseen + expected * (double)d->claim) * keep);
    d->alarms = (float)(((double)d->alarms + alarmed) * keep);
}

void detector_beat(struct detector *d, uint64_t jump, tick arrival, bool alarmed, const struct detector_aim *aim)
{
    if (jump > DETECTOR_JUMP_MAX) {
        detector_rebase(d, arrival);
        return;
    }
    if (d->period <= 0) {
        d->period = fmax(fmin(period_guess(d, jump, arrival), (double)BEAT_INTERVAL_MAX), 1e3);
        d->jitter = (float)(d->period / 64);
    }
    tick foretold = d->base + (tick)(d->period * (double)jump);
    double late = (double)(arrival - foretold);
    double deviation = fmin(fabs(late), 8.0 * (double)d->jitter + 1e3);
    double n = d->young < YOUNG ? d->young + 1 : YOUNG * 2;
    d->jitter += (float)((deviation - (double)d->jitter) / n);
    follow_base(d, jump, foretold, late, alarmed);
    if (d->young >= WARM)
        follow_unit(d);
    learn_beat(d, jump, late, arrival);
    double memory = fmax(MEMORY_LEAST, fmin(MEMORY_TARGETS / (aim->rate * d->period), 1 << 27));
    if (d->beats > memory)
        forget_half(d, arrival);
    if (aim->rate <= 0)
        return;
    learn_rate(d, aim->rate * d->period, jump, alarmed);
    if (alarmed || --d->solve_in == 0)
        detector_solve(d, aim);
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
        above[i] = sum += count_get(d->late[i]);
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
        above[i] = sum += count_get(d->runs[i]);
    struct trials own = {d->beats, above[0]}, pool = {0, 0};
    if (all)
        pool = (struct trials){all->beats, all->runs[0]};
    double ln = log(hazard_of(own, pool, PRIOR_LOSS)), step = log(PRIOR_RUN_ON);
    s->runs[0] = ln;
    for (int i = 1; i < DETECTOR_RUNS; i++) {
        double width = run_edge[i] - run_edge[i - 1];
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
    if (m >= run_edge[DETECTOR_RUNS - 1])
        return s->runs[DETECTOR_RUNS - 1] + s->run_slope * (m - run_edge[DETECTOR_RUNS - 1]);
    int i = 0;
    while (run_edge[i + 1] <= m)
        i++;
    double f = (double)(m - run_edge[i]) / (run_edge[i + 1] - run_edge[i]);
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
    struct trials own = {d->beats, count_get(d->held)}, pool = {0, 0};
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
    c->held += count_get(d->held);
    c->foreseen += (double)d->foreseen;
    c->alarms += (double)d->alarms;
    for (int i = DETECTOR_RUNS - 1; i >= 0; i--)
        c->runs[i] += runs += count_get(d->runs[i]);
    if (!d->unit)
        return;
    double late = count_get(d->late[DETECTOR_LATE - 1]);
    for (int i = DETECTOR_LATE - 2; i >= LATE_NEGATIVE; i--) {
        int e = d->unit - DETECTOR_OCTAVE + i - LATE_NEGATIVE;
        c->late[e] += late;
        c->late_tried[e] += late += count_get(d->late[i]);
    }
}
