/* SPDX-License-Identifier: MIT */
/*
 * probes.h -- what became of each probe sent to one host.
 *
 * A window of the last PROBES_KEPT probes. A probe waits until it is answered, its time passes, or an ICMP error says
 * that it will not arrive. An answer that comes after its time is late: it is no longer lost. A second answer is a
 * duplicate. An answer to an earlier probe than the highest one answered so far is reordered (RFC 4737 section 3.3).
 *
 * No clock and no socket in here: every time is an argument.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"

enum probe_state { PROBE_WAITING = 1, PROBE_ANSWERED, PROBE_TIMED_OUT, PROBE_FAILED };

struct probe {
    uint64_t seq; /* from 1 */
    enum probe_state state;
    bool late;      /* answered after its time */
    uint32_t id;    /* of its send stamp: datagrams that the socket had sent before */
    tick sent, due; /* monotonic: when it was sent, and when it counts as lost */
    int64_t wall;   /* ns: as written into the probe */
    int64_t stamp;  /* ns, wall clock: the kernel's send stamp; 0 until it comes */
};

enum { PROBES_KEPT = 1 << 16 };

struct probes {
    struct probe *ring;
    uint64_t next;      /* the sequence number to send next; `next - 1` were tried */
    uint64_t oldest;    /* no probe before it is still waiting */
    uint64_t highest;   /* sequence number answered so far */
    uint32_t datagrams; /* that the kernel took */
    struct {
        uint64_t sent, received, late, lost, failed, duplicates, reordered, foreign;
    } count;
};

MUST err_t probes_init(struct probes *);
void probes_done(struct probes *);

/* The next probe; `taken` says whether the kernel took it (else it has failed). */
struct probe *probes_sent(struct probes *, int64_t wall, tick sent, tick due);
void probes_not_sent(struct probes *, struct probe *);
struct probe *probes_find(struct probes *, uint64_t seq); /* NULL: never sent, or forgotten */
struct probe *probes_stamp(struct probes *, uint32_t id, int64_t wall_ns);
struct probe *probes_oldest_waiting(struct probes *); /* NULL: none */

enum probe_answer { ANSWER_FIRST, ANSWER_DUPLICATE, ANSWER_FOREIGN };
struct probe_verdict {
    enum probe_answer what;
    struct probe *probe;
    bool late, reordered;
};
/* An answer came. `seq` 0: it does not say to which, so it is for the oldest one that waits. `wall_us` of the probe as
   the answer shows it, or -1: one that differs belongs to somebody else. */
struct probe_verdict probes_answer(struct probes *, uint64_t seq, int64_t wall_us);
void probes_fail(struct probes *, struct probe *);      /* an ICMP error about it */
struct probe *probes_expire(struct probes *, tick now); /* one whose time has passed; NULL: no more */
tick probes_due(struct probes *);                       /* when the next one will; TICK_NEVER */
