/* SPDX-License-Identifier: MIT */
/*
 * detector_counts.h -- how a detector counts what it has seen: between detector.c, which learns, and detector_solve.c,
 * which makes a deadline of it.
 */
#pragma once

#include "app/heartbeat/detector.h"

enum {
    LATE_NEGATIVE = 4, /* edges of `late`: -8u -4u -2u -u, then u 2u 4u ... */
    WARM = 8,          /* beats before the unit is chosen */
};
_Static_assert(DETECTOR_OCTAVE_UNIT - DETECTOR_OCTAVE + DETECTOR_LATE - 2 - LATE_NEGATIVE < DETECTOR_OCTAVES,
               "a pool has every edge");

static const uint16_t detector_run_edge[DETECTOR_RUNS] = {2, 3, 4, 5, 7, 9, 13, 17, 33, 65};

/* Floating counters: 4 bits of exponent, 12 of mantissa. Exact to 4,095; above, a step of 2^e is taken with
   probability 2^-e, which keeps the relative error below 2 % at two bytes a counter. */
static inline uint32_t detector_count(uint16_t c)
{
    return (uint32_t)(c & 0xfff) << (c >> 12);
}
