/* SPDX-License-Identifier: MIT */
/*
 * stamp_stats.h -- what four time stamps and two sequence numbers tell about a path (STAMP, RFC 8762).
 *
 * T1 sent, T2 received by the reflector, T3 sent back, T4 received. T1 and T4 are of our clock, T2 and T3 of the
 * reflector's. The round trip without the reflector's time is (T4 - T1) - (T3 - T2) and needs no common clock. One way
 * up is T2 - T1 and down T4 - T3, each wrong by the difference of the clocks. That difference is estimated from the
 * fastest round trip as ((T2 - T1) + (T3 - T4)) / 2, which is right when that trip took as long up as down and off by
 * at most half of it otherwise (RFC 5905 section 8).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct spread {
    uint64_t n;
    int64_t min, max;
    double sum;
};

struct stamp_times {
    int64_t t1, t2, t3, t4; /* ns, wall clocks */
    uint32_t seq;           /* the sender's, from 0 */
    uint32_t reflector_seq;
};

struct stamp_stats {
    struct spread up, down, server;   /* ns; up and down as the clocks show them */
    struct spread vary_up, vary_down; /* |difference| to the probe before (RFC 3393), when both came */
    int64_t best_rtt, offset;         /* of the fastest round trip: the reflector's clock minus ours */
    struct stamp_times last;
    bool numbered; /* the reflector has shown numbers of its own */
    uint32_t highest_seq, highest_reflector_seq;
};

int64_t stamp_stats_rtt(const struct stamp_times *); /* without the reflector's time */
void stamp_stats_add(struct stamp_stats *, const struct stamp_times *);

struct stamp_split {
    bool known;        /* false: the reflector copies our numbers, so nobody knows */
    uint64_t up, down; /* lost on the way there, and on the way back */
    uint64_t unknown;  /* behind the last answer: no later number tells */
};
/* `lost` probes have no answer out of `received + lost`. `stateful`: the reflector is known to number its replies
   itself, even if that has not shown yet. */
struct stamp_split stamp_stats_split(const struct stamp_stats *, uint64_t received, uint64_t lost, bool stateful);
