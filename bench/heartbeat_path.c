/* SPDX-License-Identifier: MIT */
#include "heartbeat_path.h"

#include <math.h>

#include "base/check.h"

#define HELD_BACK 0.01 /* this share of beats arrives behind the next one */
#define LEAVE     0.3  /* the chance that a burst ends, asked before each beat */

void path_start(struct path_run *s, const struct path *p, uint64_t seed)
{
    s->path = p;
    s->bad = false;
    s->flying = 0;
    s->next = 0;
    prng_seed(&s->random, seed);
}

static double normal(struct prng *r)
{
    return sqrt(-2 * log(1 - prng_unit(r))) * cos(2 * M_PI * prng_unit(r));
}

/* At least 10 ms; what is beyond has a mean of 5, 5.6 and 4 ms. */
static double delay_ms(struct path_run *s)
{
    switch (s->path->delay) {
    case DELAY_EXPONENTIAL:
        return 10 + prng_exponential(&s->random, 5);
    case DELAY_LOGNORMAL:
        return 10 + exp(1 + 1.2 * normal(&s->random));
    case DELAY_PARETO:
        return 10 + 2 / sqrt(1 - prng_unit(&s->random));
    }
    UNREACHABLE();
}

static bool lost(struct path_run *s)
{
    double loss = s->path->loss, p = prng_unit(&s->random);
    if (!s->path->burst)
        return p < loss;
    s->bad = s->bad ? p >= LEAVE : p < LEAVE * loss / (1 - loss);
    return s->bad;
}

static void fly(struct path_run *s, struct path_beat b)
{
    CHECK(s->flying < PATH_FLYING);
    int i = s->flying++;
    for (; i && s->heap[(i - 1) / 2].at > b.at; i = (i - 1) / 2)
        s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = b;
}

static struct path_beat land(struct path_run *s)
{
    struct path_beat top = s->heap[0], last = s->heap[--s->flying];
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

struct path_beat path_next(struct path_run *s)
{
    while (!s->flying || (double)s->next * s->path->interval < s->heap[0].at) {
        double sent = (double)s->next * s->path->interval;
        if (!lost(s)) {
            double held = prng_unit(&s->random) < HELD_BACK ? s->path->interval : 0;
            fly(s, (struct path_beat){sent + held + delay_ms(s), s->next});
        }
        s->next++;
    }
    return land(s);
}
