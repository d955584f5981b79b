/* SPDX-License-Identifier: MIT */
/*
 * impair.h -- misbehaving on purpose, the same way in each run.
 *
 * A listener asks for a verdict on each datagram that it is about to answer and does as it says; what was done is
 * counted here, so that a measurement can be held against the truth. Every kind of harm draws from a generator of its
 * own, all from one seed: switching one on does not change what the others do.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "base/random.h"

/* A chance: a probability, or exactly `of[0]` of each `of[1]` in an order drawn anew for each group. */
struct impair_ratio {
    double p;
    uint32_t of[2]; /* {0, 0}: by probability */
};
/* "40%", "0.4", or "4/11" (exactly 4 of each 11). E_USAGE. */
MUST err_t impair_ratio_parse(struct slice, struct impair_ratio *);

/* Gilbert and Elliott's two states: in the bad one everything is lost. Given as the mean loss and the mean length of a
   burst: "10%,5"; the length is 4 when left out. E_USAGE. */
struct impair_burst {
    double enter, leave; /* chances of changing state, asked before each datagram */
};
MUST err_t impair_burst_parse(struct slice, struct impair_burst *);

struct impair_conf {
    struct impair_ratio loss;       /* requests lost on the way up */
    struct impair_ratio loss_reply; /* replies lost on the way down */
    struct impair_burst burst;      /* requests */
    struct impair_ratio duplicate, reorder;
    int64_t delay, jitter; /* ns: a reply waits delay +- jitter, never less than nothing */
    bool uppercase;
    uint64_t seed;
};
bool impair_any(const struct impair_conf *); /* does it do anything to the number, order or time of replies? */

struct impair_dice {
    struct prng random;
    uint32_t hits_left, left; /* of the group, for exact ratios */
};
struct impair_counts {
    uint64_t seen, lost, lost_reply, duplicated, reordered, delayed;
};
struct impair {
    struct impair_conf conf;
    struct impair_dice loss, loss_reply, burst, duplicate, reorder, jitter;
    bool bad;
    struct impair_counts counts; /* `reordered` is counted by the caller, once a later reply has overtaken */
};
struct impair_verdict {
    bool lost;       /* as if the request had never come */
    bool lost_reply; /* the request counts, its reply is not sent */
    bool duplicate;  /* the reply goes out twice */
    bool hold;       /* the reply goes out behind the client's next one */
    int64_t delay;   /* ns before it goes out */
};

void impair_init(struct impair *, const struct impair_conf *);
struct impair_verdict impair_next(struct impair *);
void impair_uppercase(char *p, size_t n); /* ASCII letters */
