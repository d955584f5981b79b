/* SPDX-License-Identifier: MIT */
/* h1_exchange.h -- one exchange over HTTP/1: how its body comes in and its answer goes out. Private to src/http. */
#pragma once

#include "http/body.h"
#include "http/conn.h"
#include "http/h1_work.h"
#include "rt/waitq.h"

struct h1_exchange {
    struct conn *conn;
    struct h1_work *work;
    struct body_framing framing; /* of the request's body */
    struct buf raw_trailers;     /* while they come */
    struct slice ahead, lines;   /* of a head that was ready, still to be sent before work->out */
    size_t head_end;             /* in work->in: the slices of the request point in front of it */
    uint64_t in_left;            /* of a body with a length */
    uint64_t out_left;           /* of the announced Content-Length; UINT64_MAX: none was announced */
    bool keep;                   /* may the connection be used again? */
    bool expects;                /* the client waits for 100 (Continue) */
    bool chunked_out;            /* the answer's body goes out chunked */
    bool saying;                 /* a 1xx answer is on its way to the stream; others wait in `said` */
    struct exchange x;
    /* -- from x.request on nothing is cleared for a new one: whoever needs it fills it in first -- */
    struct addr peer;
    struct chunked chunked;
    struct waitq said;
};

extern const struct exchange_ops h1_exchange_ops;

enum { H1_DRAIN_MAX = 64 << 10 }; /* an unread body up to this size is read and dropped to keep the connection */
/* Read and drop what the handler left of the body; false when the connection cannot be used again. */
bool h1_exchange_drain(struct h1_exchange *);
