/* SPDX-License-Identifier: MIT */
/*
 * slot.h -- what a loop remembers about each descriptor: its readiness and who waits.
 *
 * A descriptor is put into the poller at its first EAGAIN, edge-triggered; from then on readiness stands here until a
 * call says EAGAIN, or reads less than it asked for. One that waited to read first and then has to wait to write is
 * changed once. That is three epoll_ctl calls at most in a connection's life, and none for one that closes before
 * anything would have blocked.
 */
#pragma once

#include "rt/io.h"
#include "rt/park.h"
#include "rt/poll.h"

struct unsent; /* rt/outbox.h */

struct slot {
    uint32_t generation; /* in the poller's token: an event for an earlier user of the number is dropped */
    bool watched;        /* by the poller, at least for reading */
    bool both;           /* for writing, too: without that nothing is known about it, and trying tells */
    bool readable, writable, hangup;
    bool bulk;     /* readable only when as much is there as the last io_read_bulk asked for */
    bool counts;   /* a listener whose kernel says how many stand in line ... */
    uint32_t line; /* ... and how many of those there are still to be let in */
    struct fiber *reader, *writer;
    struct parked *parked;
    bool kept;             /* the outbox holds a write */
    uint16_t ahead_n;      /* bytes that were read ahead and not asked for yet ... */
    uint32_t ahead_at;     /* ... and where they are in the inbox */
    err_t failed;          /* such a write has; for the next operation */
    struct unsent *unsent; /* the rest of such a write */
};

/* Is there something to read, as far as is known? */
static inline bool slot_readable(const struct slot *s)
{
    return s->readable || s->ahead_n;
}

enum { SLOT_CHUNK = 256 };
struct slots {
    struct slot **chunk;
    unsigned chunks;
};

struct slot *slot_find(int fd);              /* NULL when the loop knows nothing about it */
MUST err_t slot_get(int fd, struct slot **); /* made if need be: E_NO_MEMORY */
MUST err_t slot_watch(int fd, struct slot *, enum io_dir);
MUST err_t slot_wait(int fd, enum io_dir, tick until);
void slot_event(const struct ready *); /* the poller reported this */
void slot_forget(int fd);              /* before the descriptor is closed */
void slots_done(struct slots *);
