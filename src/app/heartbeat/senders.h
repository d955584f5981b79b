/* SPDX-License-Identifier: MIT */
/*
 * senders.h -- the table of senders: what each has sent, what was lost, and whether it is alive.
 *
 * Slots are spread over SENDERS_SHARDS shards by the hash of the id; each shard has a lock, an open-addressed index
 * and a timer wheel, so several workers feed one table and everybody sees one view. A record is 288 bytes.
 *
 * Loss is exact as far as it can be known: a sequence number counts once (a window of 128 tells duplicates from late
 * ones), a new incarnation begins a new count from 1, and what was lost before the first or after the last beat that
 * arrived stays unknown. While the listener itself was away nothing is counted.
 *
 * States: up; late, one interval overdue; down, past the deadline; stopped, it said goodbye. Who goes down again and
 * again is *flapping*: its changes are not reported until it has calmed down, then the state it is in is.
 *
 * Time is an argument. `at` is when a datagram arrived; `known` is the time up to which all datagrams have been
 * handed in: only silence up to then is silence, or a listener that was stopped for a while would bury everybody.
 */
#pragma once

#include <pthread.h>

#include "app/heartbeat/detector.h"
#include "app/heartbeat/store.h"
#include "base/addr.h"
#include "dgram/beat_packet.h"

enum { SENDERS_SHARDS = 16, SENDERS_NEAR = 1024, SENDERS_FAR = 256 };

struct senders_change {
    struct slice id; /* valid during the call */
    struct addr peer;
    enum beat_state from, to;
    bool restarted; /* a new incarnation */
    bool text;
    tick at;     /* when it was noticed */
    tick silent; /* ns since the last beat, for down */
    uint64_t incarnation, sequence, received, lost;
};

struct senders_conf {
    int64_t timeout; /* ns, fixed deadline after the last beat; used when rate is 0 */
    double rate;     /* false alarms a nanosecond and sender */
    int64_t damp;    /* ns, half-life of the flap penalty; 0: no damping */
    int64_t forget;  /* ns: a down or stopped sender is dropped after so long; 0: never */
    int64_t max_age; /* ns: a signed beat of an unknown sender or incarnation may be so old; 0: any age */
    uint32_t max;    /* senders */
    bool report_late;
    void (*changed)(void *arg, const struct senders_change *); /* under the shard's lock: copy and return */
    void *arg;
};

enum senders_verdict {
    SENDERS_FRESH,     /* the newest so far */
    SENDERS_REORDERED, /* late, but it had not been seen */
    SENDERS_DUPLICATE,
    SENDERS_STALE, /* of an older incarnation, or too far behind: refused, nothing changed */
    SENDERS_FULL,  /* no room for another sender */
};

struct senders_shard {
    pthread_mutex_t lock;
    uint32_t *index, size, count;                  /* open addressing: slot + 1, 0 empty; size is a power of two */
    uint32_t free, fresh;                          /* chain of dropped slots (slot + 1); slots ever used */
    uint32_t near[SENDERS_NEAR], far[SENDERS_FAR]; /* chains: slot + 1 */
    uint64_t near_used[SENDERS_NEAR / 64];
    int64_t near_at, far_at; /* first slot times not yet run */
    tick sweep_at;           /* when to look for the dead that may be forgotten */
    uint32_t sweep;          /* where that goes on */
    uint32_t pooled;         /* slots added to the pool in this round */
    uint32_t round;          /* rounds done */
    uint32_t states[BEAT_STATES];
};

struct senders {
    struct senders_conf conf;
    struct store store;
    pthread_mutex_t grow, pooling; /* a shard's lock may be held when they are taken, never the other way round */
    struct detector_pool pool[3];  /* round % 3 is being summed up, the one before is in use; the oldest rests: who
                                      still reads it holds the lock of a shard without which no round ends */
    uint32_t round, rounded;       /* rounds ended; shards that are done with this one */
    uint64_t seed;
    struct senders_shard shard[SENDERS_SHARDS];
};

/* `state` NULL: memory only. Records found in the file get a whole deadline of grace from `now` on. */
MUST err_t senders_open(struct senders *, const struct senders_conf *, const char *state, tick now, int64_t wall);
void senders_close(struct senders *);

enum senders_verdict senders_beat(struct senders *, const struct beat *, const struct addr *peer, tick at,
                                  int64_t at_wall);

/* Declare late and down what is so at `known`; returns when to come again. */
tick senders_turn(struct senders *, int shard, tick known);

uint32_t senders_slots(const struct senders *);                         /* slots to look at; grows */
uint32_t senders_count(struct senders *, uint32_t states[BEAT_STATES]); /* `states` may be NULL */
/* The sender in a slot; false when it is empty. `row->id` points into `id`. */
bool senders_row(struct senders *, uint32_t slot, tick now, struct beat_row *row, char id[BEAT_ID_MAX]);
