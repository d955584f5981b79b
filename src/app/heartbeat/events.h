/* SPDX-License-Identifier: MIT */
/*
 * events.h -- what happens when a sender changes: a line, a command, a POST, a row in the history.
 *
 * events_add may be called on any worker and only copies. On worker 0 a fiber takes what has gathered: lines and
 * history go to a helper thread in one batch, so that neither a full pipe nor a slow disk holds up the listener;
 * commands and webhooks have queues and fibers of their own. All queues are bounded; what finds no room is counted
 * and said once.
 */
#pragma once

#include "app/heartbeat/senders.h"
#include "base/buf.h"

enum { EVENTS_MAX = 200000, EVENT_JOBS_MAX = 64 };

struct events_conf {
    bool json;             /* lines as JSON */
    bool quiet;            /* no lines */
    const char *on_change; /* shell command, or NULL */
    int64_t jobs;          /* commands at a time */
    int64_t job_limit;     /* ns; then it is killed */
    const char *webhook;   /* URL, or NULL */
    const char *ca_file;   /* for the webhook's TLS */
    const char *history;   /* SQLite file, or NULL */
    uint64_t history_max;  /* rows to keep */
};

struct event {
    struct event *next;
    _Atomic int refs;
    int64_t wall;
    enum beat_state from, to;
    bool restarted, text;
    int64_t silent_ms;
    uint64_t incarnation, sequence, received, lost;
    uint64_t lane; /* of the id: events of one sender stay in order */
    struct addr peer;
    uint8_t id_size;
    char id[BEAT_ID_MAX];
};
static inline struct slice event_id(const struct event *e)
{
    return slice_of(e->id, e->id_size);
}
const char *event_what(const struct event *);                 /* "up", "late", "down", "stopped", "restarted" */
MUST err_t event_json(const struct event *, struct buf *out); /* one line */
MUST err_t event_line(const struct event *, struct buf *out); /* for people */
void event_unref(struct event *);

struct events;
MUST err_t events_new(const struct events_conf *, struct events **);
void events_add(struct events *, const struct senders_change *); /* any thread */
MUST err_t events_start(struct events *);                        /* in a fiber on worker 0's loop */
void events_stop(struct events *); /* on that loop, does not suspend: finish what is queued, then end */
void events_free(struct events *); /* NULL is accepted */
