/* SPDX-License-Identifier: MIT */
/*
 * pool.h -- connections to origins: how many at once, and idle ones kept for the next request.
 *
 * One pool a loop. An origin is named by a key of the caller's making that holds whatever must agree for two requests
 * to share a connection ("https://a.example:443", the proxy on the way, the client certificate). An idle connection
 * is parked: it owns no stack and is closed as soon as the poller tells that the peer said something or hung up; with
 * POOL_PROBED the kernel is asked once more before it is given out. The one used last is given out first, so that
 * surplus ones grow old and go.
 *
 *     TRY(pool_acquire(pool, key, POOL_ANY, &conn, until));
 *     if (!conn->stream)
 *         e = connect_to(origin, &conn->stream, until);
 *     ... one request and its response ...
 *     pool_release(conn, whole && keep_alive);
 *
 * A request on a reused connection may fail because the origin closed it at that very moment; whether to send it again
 * on a fresh one (pool_release false, acquire again) is the protocol's decision (RFC 9110 section 9.2.2).
 */
#pragma once

#include "net/stream.h"
#include "rt/fiber.h"

struct pool;
struct pool_options {
    int64_t idle_ms;          /* an idle connection is closed after this */
    unsigned per_origin;      /* connections open to one origin at once; 0: no limit */
    unsigned idle_per_origin; /* of them idle; the oldest is closed; 0: none are kept */
    unsigned idle_total;
};
struct pool_conn {
    struct stream *stream; /* NULL: to be dialled by the caller */
    uint64_t uses;         /* requests before this one; 0: fresh */
    /* What the protocol keeps with the connection between requests; freed by the pool when that closes. */
    void *extra;
    void (*extra_free)(void *extra);
};

MUST err_t pool_new(const struct pool_options *, struct pool **);
void pool_free(struct pool *); /* closes the idle ones; all others must have been released. NULL is accepted */

enum pool_want {
    POOL_ANY,    /* one that died this moment is found out by the request, which can be sent again */
    POOL_PROBED, /* an idle one is probed: the request cannot be sent twice */
    POOL_FRESH,  /* idle ones are passed over */
};

/* Waits while the origin is at its limit: E_TIMEOUT, E_CANCELED, E_NO_MEMORY. */
MUST err_t pool_acquire(struct pool *, struct slice key, enum pool_want, struct pool_conn **, tick until);
void pool_release(struct pool_conn *, bool keep);
size_t pool_idle(const struct pool *);
void pool_close_idle(struct pool *, struct slice key); /* of one origin; the empty key: of all */
