/* SPDX-License-Identifier: MIT */
/* listener_port.h -- what listener.c, answer.c and record.c share: the listener, its workers and their sockets. */
#pragma once

#include <stdatomic.h>

#include "app/heartbeat/listener.h"
#include "net/udp.h"
#include "rt/scope.h"

enum { PORT_BATCH = 128, PORT_DATAGRAM = 2048, PORT_ANSWERS = 16 };

/* One socket of one worker. */
struct port {
    struct listener *l;
    int fd;
    _Atomic tick known;   /* everything that came before this has been handled; TICK_NEVER: nothing waits */
    _Atomic tick drained; /* when the socket was last seen empty */
    int64_t ahead;        /* by how much the wall clock was then ahead of the monotonic one */
    struct udp_batch *in, *out;
    struct rate rate;
    double per_ms; /* datagrams, smoothed */
    int lists;     /* fibers that send a whole list just now */
    struct scope *scope;
};

struct listener_worker {
    struct scope scope;
    struct port *ports;
    int port_n;
    _Atomic int running; /* as port_n, for the other workers: set once they are whole */
};

struct listener {
    struct listener_conf conf;
    struct senders senders;
    struct digest_keys keys;
    struct events *events;
    struct record *record;
    uint64_t instance;
    struct listener_worker *workers;
};

/* answer.c: `online` and questions of the watch protocol. */
void answer_online(struct port *, const struct datagram *);
void answer_ask(struct port *, const struct datagram *);
bool listener_trusts(const struct listener *, const struct addr *);
bool listener_seal_right(const struct listener *, const struct beat_seal *);

/* record.c: --record. */
struct record;
MUST err_t record_open(const char *path, struct record **);
void record_beat(struct record *, const struct beat *, const struct addr *peer, tick at); /* NULL: nothing */
void record_close(struct record *);
