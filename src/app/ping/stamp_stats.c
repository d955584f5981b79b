/* SPDX-License-Identifier: MIT */
#include "app/ping/stamp_stats.h"

static void spread_add(struct spread *s, int64_t v)
{
    if (!s->n || v < s->min)
        s->min = v;
    if (!s->n || v > s->max)
        s->max = v;
    s->n++;
    s->sum += (double)v;
}

static int64_t distance(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

int64_t stamp_stats_rtt(const struct stamp_times *t)
{
    return (t->t4 - t->t1) - (t->t3 - t->t2);
}

void stamp_stats_add(struct stamp_stats *s, const struct stamp_times *t)
{
    int64_t rtt = stamp_stats_rtt(t), up = t->t2 - t->t1, down = t->t4 - t->t3;
    if (!s->up.n || rtt < s->best_rtt)
        s->best_rtt = rtt, s->offset = (up - down) / 2;
    if (s->up.n && t->seq == s->last.seq + 1) {
        spread_add(&s->vary_up, distance(up, s->last.t2 - s->last.t1));
        spread_add(&s->vary_down, distance(down, s->last.t4 - s->last.t3));
    }
    spread_add(&s->up, up);
    spread_add(&s->down, down);
    spread_add(&s->server, t->t3 - t->t2);
    s->numbered |= t->reflector_seq != t->seq;
    if (t->seq > s->highest_seq)
        s->highest_seq = t->seq;
    if (t->reflector_seq > s->highest_reflector_seq)
        s->highest_reflector_seq = t->reflector_seq;
    s->last = *t;
}

struct stamp_split stamp_stats_split(const struct stamp_stats *s, uint64_t received, uint64_t lost, bool stateful)
{
    struct stamp_split r = {.known = lost == 0 || (received && (s->numbered || stateful))};
    if (!lost || !r.known)
        return r;
    /* Up to the last answer the reflector has counted what reached it; each one that did was answered once. */
    uint64_t sent = (uint64_t)s->highest_seq + 1, reached = (uint64_t)s->highest_reflector_seq + 1;
    if (reached > sent || reached < received) { /* numbers from an earlier session, or doubled on the way up */
        r.known = false;
        return r;
    }
    r.up = sent - reached;
    r.down = reached - received;
    r.unknown = lost > r.up + r.down ? lost - r.up - r.down : 0;
    return r;
}
