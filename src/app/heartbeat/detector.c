/* SPDX-License-Identifier: MIT */
#include "app/heartbeat/detector.h"

#include <math.h>
#include <string.h>

#include "app/heartbeat/detector_counts.h"
#include "dgram/beat_packet.h"

enum {
    YOUNG = 32, /* beats over which the base is a plain mean; afterwards it moves by 1/32 of the error */
    UNIT_MIN = DETECTOR_OCTAVE, /* 1 us: below it nothing is worth telling apart */
    UNIT_MAX = DETECTOR_OCTAVE_UNIT,
};
#define HELD_NEAR      4.0  /* mean deviations around a later beat's time: who comes then was held back */
#define LEAN_MEMORY    32.0 /* mean times between alarms after which experience fades; */
#define LEAN_AGE       2.0  /* while younger, so many ages: what a model foresaw that knew little is soon forgotten */
#define MEMORY_TARGETS 16.0 /* remember so many mean times between mistakes, then halve the counts */
#define MEMORY_LEAST   (1 << 16)

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
        uint32_t centre = detector_count(d->late[LATE_NEGATIVE - 2]) + detector_count(d->late[LATE_NEGATIVE - 1]) +
                          detector_count(d->late[LATE_NEGATIVE]);
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
    while (run + 1 < DETECTOR_RUNS && detector_run_edge[run + 1] <= jump)
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
