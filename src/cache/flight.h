/* SPDX-License-Identifier: MIT */
/*
 * flight.h -- one fetch for many waiters.
 *
 * Who misses first becomes the leader and asks the origin; who asks for the same key meanwhile waits. Once the head
 * is there the leader publishes its verdict: a shared object whose body is growing (everybody reads along), or
 * nothing that can be shared (everybody is released at once and fetches alone). Waiters may run on any loop; they
 * are woken through loop_post. The object of a flight is in no index before its body is whole.
 *
 *     ASKING --publish--> SHARED --finish--> done (whole or failed)
 *        \--release--> ALONE        \-- too large: closed to newcomers, throttled to its slowest reader
 */
#pragma once

#include <pthread.h>

#include "base/table.h"
#include "cache/object.h"
#include "rt/loop.h"

enum flight_state {
    FLIGHT_ASKING,
    FLIGHT_SHARED, /* `object` is there to read along */
    FLIGHT_ALONE,  /* released: fetch for yourself */
    FLIGHT_FAILED, /* the origin could not be asked: `failed` says why */
    FLIGHT_ORPHAN, /* the leader left: somebody else may lead */
};

struct flights; /* of a process */

struct cache_flight {
    uint32_t magic;
    atomic_uint refs;
    pthread_mutex_t lock; /* of everything below, and of the object's body while it grows */
    enum flight_state state;
    struct cache_object *object;
    err_t failed;
    uint16_t fwd_status;       /* of the origin's answer, for Cache-Status */
    bool done;                 /* the body has ended: `failed` says whether well */
    bool closed;               /* too large to keep, or outdated: no newcomers, and not stored */
    unsigned version, readers; /* version counts every change that a waiter may want to see */
    uint64_t kept_from;        /* bytes before this were given back */
    struct list waiters, reading;
    struct flights *home;
    struct cache_key key;
    struct table_link link;
    bool listed, alone;
    unsigned since; /* alone: the closings that it knows of */
};
struct flight_reader {
    struct list link;
    uint64_t at;
};

MUST err_t flights_new(struct flights **);
void flights_free(struct flights *);

/* The flight for this key, with a reference: a new one (`*lead`) or the one that is under way. NULL when out of memory.
 */
struct cache_flight *flight_join(struct flights *, const struct cache_key *, bool *lead);
/* A private one that nobody can find, made when its answer is there: `since` is what flights_closings said before it
   was asked for, so it counts as closed when its key was closed meanwhile. */
struct cache_flight *flight_alone(struct flights *, const struct cache_key *, unsigned since);
void flight_unref(struct cache_flight *);
bool flight_closed(struct cache_flight *); /* NULL is accepted */
/* What these keys stand for has changed, or is to be forgotten: what is on its way is for those who wait for it now. */
void flights_close(struct flights *, const struct cache_key *);
void flights_close_prefix(struct flights *, struct slice prefix);
/* How often this key was closed so far, counted without a lock in a table that has fewer places than there are keys:
   others may count along, which costs no more than that something is not stored. */
unsigned flights_closings(struct flights *, const struct cache_key *);
bool flights_count_along(const struct cache_key *, const struct cache_key *);

/* The leader's side. publish takes a reference of the object; all but `grown` end the flight's listing when said. */
void flight_publish(struct cache_flight *, struct cache_object *, uint16_t fwd_status);
void flight_release(struct cache_flight *, enum flight_state,
                    err_t why);           /* ALONE, FAILED or ORPHAN; NULL is accepted */
void flight_grown(struct cache_flight *); /* more bytes, called with the lock held */
void flight_finish(struct cache_flight *, err_t failed);
void flight_unlist(struct cache_flight *); /* newcomers look into the index again */

/* Wait until `version` is no longer `seen`. E_TIMEOUT, E_CANCELED, E_NO_MEMORY. */
MUST err_t flight_wait(struct cache_flight *, unsigned seen, tick until);

/* Reading along. read: the next bytes at r->at without waiting (valid until the next call; empty with *end at the
   end, or wait for a change of *version). */
void flight_read_open(struct cache_flight *, struct flight_reader *);
void flight_read_close(struct cache_flight *, struct flight_reader *);
MUST err_t flight_read(struct cache_flight *, struct flight_reader *, struct slice *, bool *end, unsigned *version);
void flight_read_advance(struct cache_flight *, struct flight_reader *, size_t n);
