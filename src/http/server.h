/* SPDX-License-Identifier: MIT */
/*
 * server.h -- a web server for any handler: accepts on every worker, limits, keeps idle connections parked, drains.
 *
 * One `struct server` a process. What it serves is a `struct site`: the handler, its configuration and the TLS context;
 * it is immutable and swapped whole on reload, and an exchange that has begun ends on the site it began with.
 *
 *     server_new(&options, workers, &server)      in the main thread
 *     server_listen(server, point)                in each worker's first fiber, for each listening point
 *     server_drain(server)                        in each worker's drain hook
 *     server_swap(server, site)                   in the reload hook (calls worker_each)
 *
 * Idle connections own no stack and no buffer: a `struct conn` of some 200 bytes waits in the parking lot. When
 * descriptors or the connection limit run out, those that have been idle longest make room.
 */
#pragma once

#include "http/exchange.h"
#include "net/listen.h"
#include "net/tls.h"
#include "wire/trace.h"

struct server;
struct log_file;

struct site {
    handler_fn *handler;
    error_page_fn *error_page;   /* NULL: the built-in pages */
    const void *conf;            /* for both */
    struct tls *tls;             /* NULL: plain; the site holds a reference */
    void (*free)(struct site *); /* when nobody uses it any more; may run on any thread. NULL: never freed */
    _Atomic int refs;            /* private */
};

enum access_format { ACCESS_COMBINED, ACCESS_JSON };

struct server_options {                  /* zero means the default of that row */
    uint64_t max_connections;            /* 0: bounded by descriptors only */
    uint64_t max_connections_per_client; /* by address; 0: none. Loopback and Unix clients have none unless `strict` */
    bool limit_loopback;                 /* the per-client limit was asked for: apply it to loopback as well */
    uint64_t max_header;                 /* bytes; default 32 KiB */
    uint64_t max_body;                   /* bytes; default 1 GiB, UINT64_MAX: no limit */
    int64_t header_timeout;              /* ns from a request's first byte to its head's end; default 20 s */
    int64_t body_timeout;                /* ns without progress of a body in either direction; default 60 s */
    int64_t idle_timeout;                /* ns between requests; default 75 s */
    bool accept_lf;
    bool serial;                 /* one connection at a time, and no keep-alive: the first textbook server */
    struct trace_sink *trace;    /* NULL: off */
    struct log_file *access_log; /* NULL: off */
    enum access_format format;
};

MUST err_t server_new(const struct server_options *, int workers, struct site *, struct server **);
/* Accept on this worker's socket of the point; returns at once. The point must outlive the server. */
MUST err_t server_listen(struct server *, const struct listen_point *);
void server_drain(struct server *);               /* on each loop: stop accepting, close after the current exchange */
void server_swap(struct server *, struct site *); /* from the thread of worker_run */
void server_free(struct server *);                /* after the workers have ended */
