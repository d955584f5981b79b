/* SPDX-License-Identifier: MIT */
/*
 * sender_record.h -- one sender's record and what a beat does to it. Only senders.c uses it.
 *
 * The record has a fixed layout and holds no pointer, because it may lie in a file. `busy` is set while it is being
 * changed; a record found busy after a crash keeps its counts and begins a new timing.
 */
#pragma once

#include "app/heartbeat/senders.h"

struct sender {
    uint64_t window[2];    /* bit i of the 128: sequence newest - i has been seen */
    uint64_t newest;       /* the highest sequence of this incarnation */
    uint64_t incarnation;  /* text: when the newest beat was sent, ns */
    uint64_t received;     /* different beats, of all incarnations */
    int64_t expected_base; /* beats that should have come = expected_base + newest */
    tick last;             /* arrival of the newest */
    tick changed;          /* of the last change between up, down and stopped */
    int64_t delay;         /* one way, mean, ns; by both clocks */
    struct detector d;
    float interval; /* as stated, ns; 0 unknown */
    float penalty;  /* for flapping, as of `changed` */
    uint32_t next;  /* in a wheel's chain or the free one: slot + 1 */
    uint32_t duplicates, reordered;
    uint16_t restarts;
    uint16_t port;
    uint8_t host[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint8_t span;     /* newest - first of this count, up to 255 */
    uint8_t id_size;
    uint8_t state, announced;
    bool used : 1, busy : 1, text : 1, flapping : 1, sealed : 1, resync : 1, queued : 1;
    char id[BEAT_ID_MAX];
};
_Static_assert(sizeof(struct sender) <= 288, "with 8 bytes of index a sender costs at most 300 bytes");

/* By what a sender is known: its id, or for text beats where they come from. */
struct sender_name {
    bool text;
    struct slice id;
    uint8_t host[16];
    uint16_t port;
};
void sender_name_of(const struct beat *, const struct addr *peer, struct sender_name *);
void sender_name(const struct sender *, struct sender_name *);
bool sender_is(const struct sender *, const struct sender_name *);
struct slice sender_id(const struct sender *, char out[BEAT_ID_MAX]); /* for people: "127.0.0.1:4711" for text */
void sender_peer(const struct sender *, struct addr *);

void sender_init(struct sender *, const struct sender_name *, tick now);

enum sender_place {
    SENDER_AHEAD,     /* the newest so far */
    SENDER_RESTARTED, /* the first of a new incarnation */
    SENDER_BEHIND,    /* in the window, not seen */
    SENDER_SEEN,
    SENDER_OLD, /* before the window, or of an older incarnation */
};
enum sender_place sender_place(const struct sender *, const struct beat *);
void sender_begin(struct sender *, const struct beat *, tick at, const struct detector_aim *);
void sender_restart(struct sender *, const struct beat *, tick at);
void sender_advance(struct sender *, const struct beat *, tick at, bool alarmed, const struct detector_aim *);
void sender_fill(struct sender *, const struct beat *);
void sender_came(struct sender *, const struct beat *, const struct addr *peer,
                 int64_t wall); /* a fresh one: address, delay */

uint64_t sender_lost(const struct sender *);
bool sender_alive(const struct sender *); /* new, up or late */
tick sender_deadline(const struct sender *, const struct senders_conf *);
tick sender_late_at(const struct sender *);

void sender_flap(struct sender *, bool down, int64_t half_life, tick now); /* notes the time of the change too */
bool sender_calmed(const struct sender *, int64_t half_life, tick now);

bool sender_sound(const struct sender *); /* can these bytes be a record? */
void sender_resume(struct sender *, const struct store *, tick now);
void sender_row(const struct sender *, const struct senders_conf *, tick now, struct beat_row *, char id[BEAT_ID_MAX]);
