/* SPDX-License-Identifier: MIT */
/*
 * listener.h -- the collector: datagrams in, one table of senders, answers to those who ask, changes to the events.
 *
 * Every worker receives on sockets of its own (SO_REUSEPORT) and feeds the one table; each shard's deadlines belong to
 * one worker. Arrival times are the kernel's, brought over to the monotonic clock, so a step of the wall clock moves
 * no deadline and a busy machine hurts nobody. A deadline is only called past when every socket has been read up to
 * it: after the process was stopped, or behind, the beats that waited in the sockets count first.
 */
#pragma once

#include "app/heartbeat/events.h"
#include "app/heartbeat/senders.h"
#include "base/rate.h"
#include "net/listen.h"
#include "net/tls_digest.h"

enum { LISTENER_TRUST_MAX = 64 };

struct listener_conf {
    struct senders_conf senders; /* `changed` and `arg` are filled in here */
    struct events_conf events;
    const char *state;    /* file, or NULL */
    const char *key_file; /* or NULL: beats are taken unsigned */
    bool accept_unsigned; /* although there are keys */
    struct network trust[LISTENER_TRUST_MAX];
    int trust_n;
    uint64_t rate_limit; /* datagrams a second and client; 0: any number */
    const char *record;  /* file to append every beat to, for `simulate`, or NULL */
    int workers;
};

struct listener;
MUST err_t listener_new(const struct listener_conf *, struct listener **);
/* In a fiber on a worker's loop: receive on the points from now on. */
MUST err_t listener_start(struct listener *, const struct listen_point *const *points, int n, int worker);
void listener_drain(struct listener *, int worker); /* on its loop; does not suspend */
void listener_free(struct listener *);              /* after all loops have ended; NULL is accepted */
