/* SPDX-License-Identifier: MIT */
#include "app/ping/probes.h"

#include <stdlib.h>

err_t probes_init(struct probes *p)
{
    *p = (struct probes){.ring = calloc(PROBES_KEPT, sizeof *p->ring), .next = 1, .oldest = 1};
    return p->ring ? NULL : E_NO_MEMORY;
}

void probes_done(struct probes *p)
{
    free(p->ring);
    p->ring = NULL;
}

static struct probe *at(struct probes *p, uint64_t seq)
{
    return &p->ring[seq % PROBES_KEPT];
}

struct probe *probes_sent(struct probes *p, int64_t wall, tick sent, tick due)
{
    struct probe *old = at(p, p->next);
    if (old->state == PROBE_WAITING) /* forgotten before its time: more under way than the window holds */
        p->count.lost++;
    *old = (struct probe){
        .seq = p->next++, .state = PROBE_WAITING, .id = p->datagrams++, .sent = sent, .due = due, .wall = wall};
    p->count.sent++;
    return old;
}

void probes_not_sent(struct probes *p, struct probe *probe)
{
    p->datagrams--;
    probes_fail(p, probe);
}

struct probe *probes_find(struct probes *p, uint64_t seq)
{
    struct probe *probe = at(p, seq);
    return seq && probe->seq == seq ? probe : NULL;
}

struct probe *probes_stamp(struct probes *p, uint32_t id, int64_t wall_ns)
{
    /* Probes that were not sent took a sequence number and no id, so the one sought is at or behind seq = id + 1. */
    uint64_t seq = p->next - 1;
    for (int step = 0; step < PROBES_KEPT && seq; step++, seq--) {
        struct probe *probe = probes_find(p, seq);
        if (!probe)
            return NULL;
        if (probe->id != id || probe->state == PROBE_FAILED)
            continue;
        probe->stamp = wall_ns;
        return probe;
    }
    return NULL;
}

struct probe *probes_oldest_waiting(struct probes *p)
{
    for (; p->oldest < p->next; p->oldest++) {
        struct probe *probe = probes_find(p, p->oldest);
        if (probe && probe->state == PROBE_WAITING)
            return probe;
    }
    return NULL;
}

struct probe_verdict probes_answer(struct probes *p, uint64_t seq, int64_t wall_us)
{
    struct probe *probe = seq ? probes_find(p, seq) : probes_oldest_waiting(p);
    if (!probe || (wall_us >= 0 && probe->wall / 1000 != wall_us)) {
        p->count.foreign++;
        return (struct probe_verdict){.what = ANSWER_FOREIGN};
    }
    if (probe->state == PROBE_ANSWERED) {
        p->count.duplicates++;
        return (struct probe_verdict){.what = ANSWER_DUPLICATE, .probe = probe, .late = probe->late};
    }
    struct probe_verdict v = {.what = ANSWER_FIRST, .probe = probe};
    v.late = probe->late = probe->state == PROBE_TIMED_OUT;
    v.reordered = probe->seq < p->highest;
    if (probe->state == PROBE_FAILED)
        p->count.failed--;
    p->count.lost -= v.late, p->count.late += v.late;
    p->count.reordered += v.reordered;
    p->count.received++;
    probe->state = PROBE_ANSWERED;
    if (probe->seq > p->highest)
        p->highest = probe->seq;
    return v;
}

void probes_fail(struct probes *p, struct probe *probe)
{
    if (probe->state == PROBE_ANSWERED || probe->state == PROBE_FAILED)
        return;
    p->count.lost -= probe->state == PROBE_TIMED_OUT;
    probe->state = PROBE_FAILED;
    p->count.failed++;
}

struct probe *probes_expire(struct probes *p, tick now)
{
    struct probe *probe = probes_oldest_waiting(p);
    if (!probe || probe->due > now)
        return NULL;
    probe->state = PROBE_TIMED_OUT;
    p->count.lost++;
    return probe;
}

tick probes_due(struct probes *p)
{
    struct probe *probe = probes_oldest_waiting(p);
    return probe ? probe->due : TICK_NEVER;
}
