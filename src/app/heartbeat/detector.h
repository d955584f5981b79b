/* SPDX-License-Identifier: MIT */
/*
 * detector.h -- when is silence long enough? One sender's deadline, from what was measured of its path.
 *
 * A beat is *fresh* when its sequence number is the highest so far. Two things make fresh beats come late:
 * beats that are missing before them, and their own delay. Both are learned apart, because together they are
 * lumpy (one lump a missing beat) while each alone is smooth:
 *   - `runs`: how far sequence numbers jump between fresh beats (1 = nothing missing), as survival counts;
 *   - `late`: how late a fresh beat is against the time that the earlier ones foretell, in octaves of a unit
 *     that follows the jitter.
 * With P the period, Q(m) = P(jump >= m) and S(x) = P(late > x), a deadline T after the usual time of the newest
 * beat raises false alarms at the rate  sum over m of (Q(m) - Q(m+1)) * S(T - m*P), times fresh beats a second.
 * detector_solve finds the smallest T with at most the rate asked for. Where data ends the survival functions go
 * on with their last hazard: geometric for runs (bursts), a power law for delay (heavy tails), and pseudo-counts
 * stand for what has not been seen yet, so a young sender gets a patient deadline.
 *
 * A beat that comes when a later one is due has been held back (reordering). For the silence before it that is the same
 * as if beats had been missing, so it is learned as such a jump, and its lateness against the later time: in `late` it
 * would be smeared over a whole octave. How many were held back by one interval is counted, `held`: as many again were
 * overtaken by the next beat, and in both cases the silence ends with whichever of two beats comes first.
 *
 * A model is never quite right, and where runs of lost beats make the rate jump there is no deadline that has the one
 * asked for. So the detector also learns from its own mistakes: it counts the alarms that the model foresaw and those
 * that were false, and asks the model for as much more or less. That holds the stated rate in the long run, whatever
 * the path is like.
 *
 * What is rare for one sender is common for a thousand. So where its own data is thin a detector believes what the
 * other senders of like intervals saw (an empirical prior: their counts summed up, without its own), as firmly as they
 * have evidence, at most like 32 events of its own, and the less the worse that fits what it sees itself. A pool is a
 * sum over the records as they are: nothing of it has to be stored, and who is forgotten is out of it.
 *
 * Pure: arrival times are arguments (ticks of the monotonic clock).
 */
#pragma once

#include <stdbool.h>

#include "base/clock.h"

enum {
    DETECTOR_LATE = 19,       /* bins of lateness */
    DETECTOR_RUNS = 10,       /* bins of jumps */
    DETECTOR_JUMP_MAX = 1024, /* a longer silence is an outage, not loss: nothing is learned from it */
    DETECTOR_OCTAVE = 10,     /* log2 of the least lateness that a pool tells apart, ns */
    DETECTOR_OCTAVES = 45,
    DETECTOR_OCTAVE_UNIT = 40,   /* log2 of the greatest unit of `late` */
    DETECTOR_OCTAVE_PERIOD = 20, /* log2 of the period, ns, of the first class; each has an octave */
    DETECTOR_CLASSES = 24,
};

struct detector {
    tick base;                    /* when the newest beat would have come with the usual delay */
    double period;                /* ns from beat to beat, as they come, up to BEAT_INTERVAL_MAX; 0 while unknown */
    float jitter;                 /* mean deviation from the foretold time, ns */
    float allow;                  /* from base to the deadline, ns */
    float claim;                  /* what the model says of that deadline: its rate in units of the stated one */
    float foreseen;               /* alarms that should have come if the model were right, slowly forgotten */
    float alarms;                 /* and those that came */
    uint32_t beats;               /* fresh beats learned from */
    uint16_t solve_in;            /* fresh beats until the deadline is worked out again */
    int8_t unit;                  /* log2 of the unit of `late`, ns; 0 while it is unknown */
    uint8_t young;                /* fresh beats since the beginning or the last re-basing, up to 255 */
    uint16_t late[DETECTOR_LATE]; /* floating counters, see detector_counts.h */
    uint16_t runs[DETECTOR_RUNS];
    uint16_t held;
};

/* What senders whose periods lie within one octave saw together. */
struct detector_class {
    double beats, foreseen, alarms, held, runs[DETECTOR_RUNS];   /* runs: at least so far */
    double late_tried[DETECTOR_OCTAVES], late[DETECTOR_OCTAVES]; /* later than 2^e ns, and than 2^(e + 1) as well */
};
struct detector_pool {
    struct detector_class class[DETECTOR_CLASSES];
};
/* Begin with a zeroed pool. */
void detector_pool_add(struct detector_pool *, const struct detector *);

struct detector_aim {
    double rate;                        /* mistakes a nanosecond; 0: no deadline is worked out */
    const struct detector_pool *others; /* this one may be among them; NULL: it is alone */
};

/* `interval` as the sender states it, 0 when it does not. The first beat came at `arrival`. */
void detector_start(struct detector *, int64_t interval, tick arrival);
/* A fresh beat, `jump` after the one before. `alarmed`: its deadline had passed. Learns, and works the deadline
   out anew when it is time. */
void detector_beat(struct detector *, uint64_t jump, tick arrival, bool alarmed, const struct detector_aim *);
/* The sender or the listener began anew: keep what was learned, start the timing from this beat. */
void detector_rebase(struct detector *, tick arrival);
void detector_solve(struct detector *, const struct detector_aim *); /* `rate` above 0 */
tick detector_deadline(const struct detector *);

/* The model itself, of a sender alone, for tests: expected mistakes a nanosecond with a deadline `allow` after base. */
double detector_rate(const struct detector *, double allow);
