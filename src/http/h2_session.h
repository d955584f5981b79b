/* SPDX-License-Identifier: MIT */
/*
 * h2_session.h -- a client's HTTP/2 connection (RFC 9113) by nghttp2, shared by the calls of its loop.
 *
 * One fiber reads for all streams; its callbacks only record what came and wake the call that waits for it. Whoever has
 * something to send flushes: one fiber writes at a time, and takes along what others queue meanwhile. The window of
 * a stream opens when its call has read, so a slow reader holds back only its own stream.
 * A session lives until its connection has ended and its last stream is closed.
 */
#pragma once

#include <nghttp2/nghttp2.h>

#include "http/client_impl.h"

struct h2_session {
    struct list link; /* of the client */
    struct client *client;
    struct pool_conn *conn;
    struct stream *stream;
    nghttp2_session *ng;
    struct list streams;
    struct slice key;
    struct buf out;
    bool writing, reading, dead, going_away;
    err_t error; /* why it is dead */
    char why[160];
};

struct h2_stream {
    struct list link;
    struct h2_session *session;
    struct call *call;
    int32_t id;
    struct buf data; /* received and not yet read */
    size_t taken;    /* of `data` */
    size_t head_size;
    bool in_trailers, ended, closed;
    uint32_t code; /* of RST_STREAM */
    err_t error;
    struct waitq changed, drained;
    /* the request's body: what may be sent now */
    struct slice piece;
    bool last_piece;
    const struct http_fields *trailers; /* behind the last piece, or NULL */
};

enum { H2_STREAM_WINDOW = 512 << 10, H2_SESSION_WINDOW = 2 << 20, H2_READ = 64 << 10 };

/* Takes `conn` over. */
MUST err_t h2_session_new(struct client *, struct slice key, struct pool_conn *, struct h2_session **, tick until);
/* Send what nghttp2 has to send. A failure ends the session. */
MUST err_t h2_session_flush(struct h2_session *, tick until);
void h2_session_leave(struct h2_stream *); /* the stream is no longer wanted; frees it */
void h2_session_fail(struct h2_session *, err_t);
