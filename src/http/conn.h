/* SPDX-License-Identifier: MIT */
/*
 * conn.h -- one accepted connection, between server.c (which accepts and limits) and the versions of HTTP (which serve
 * what has come in); conn.c has its life. Private to src/http.
 *
 * Life: accepted -> a fiber reads at once -> serves while there are requests -> parked without stack and buffer ->
 * woken by bytes -> a fiber again -> ... -> closed. Everything here stays while it is parked, so it is kept small.
 */
#pragma once

#include "base/list.h"
#include "http/h1_work.h"
#include "http/server.h"
#include "rt/loop.h"
#include "rt/park.h"
#include "rt/scope.h"
#include "rt/waitq.h"

struct server_loop;

enum conn_flags {
    CONN_COUNTED = 1, /* counted against its client's limit */
    CONN_FRESH = 2,   /* TLS and the trace are not set up yet */
    CONN_SECURE = 4,
};

struct conn {
    struct parked parked;
    struct list idle; /* in the loop's list while parked, longest idle first; or among those that leave */
    struct server_loop *home;
    struct stream *stream;
    struct stream_tcp tcp;
    union {
        struct sockaddr sa;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } peer;                           /* compact: Unix peers have only their family here */
    const struct listen_point *point; /* it came by this one */
    uint32_t requests;
    uint8_t flags;
};

/* What a site is to one worker: exchanges that still use it are counted here, without touching other threads. */
struct site_use {
    struct site *site;
    unsigned active;
    bool retired;
};

struct server_loop { /* one a worker */
    struct server *server;
    struct site_use *use; /* the current one */
    struct list idle;     /* of struct conn */
    struct list leaving;  /* who will be closed when this turn's writes have been sent */
    struct note leave;
    struct list spare_conns; /* memory, for the next connections */
    unsigned spare_count;
    struct scope accepting;
    struct waitq turn; /* serial mode: the accept fiber waits here for the connection to end */
    struct h1_spare spare;
    struct buf log_line; /* the access log's lines are written here */
    unsigned open;
    bool draining, started;
};

struct server {
    struct server_options o;
    int workers;
    struct server_loop *loops; /* by worker index */
    _Atomic uint64_t open;
    struct clients *clients; /* NULL when there is no per-client limit */
};

struct site_use *site_take(struct server_loop *);
void site_give(struct site_use *);

void conn_peer(const struct conn *, struct addr *);
bool conn_peer_local(const struct conn *);

/* conn.c. A loop's connections: conn_new takes the descriptor, or gives NULL when there is no memory. */
void conn_home_init(struct server_loop *);
void conn_home_done(struct server_loop *); /* when none is left */
struct conn *conn_new(struct server_loop *, int fd, const struct addr *peer, const struct listen_point *);
void conn_fiber(void *conn); /* serves it until there is nothing to do now, then parks or ends it */
void conn_park(struct conn *);
void conn_close(struct conn *); /* one that the server counts */
void conn_free(struct conn *);  /* the memory alone */

enum conn_next { CONN_PARK, CONN_CLOSE };
/* Serve what is there until nothing more is to be done now. */
enum conn_next h1_serve(struct conn *);
