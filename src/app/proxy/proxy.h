/* SPDX-License-Identifier: MIT */
/*
 * proxy.h -- the caching proxy: forward, address form, CONNECT, reverse.
 *
 * One `struct proxy` a process: rules, origins, and the cache, shared by all workers. Each worker has its own pools of
 * origin connections. proxy_handle is the handler that the HTTP server calls for every request.
 *
 *     proxy_new(&options, workers, &proxy)    main thread
 *     proxy_start(proxy, index)               each worker's first fiber: health checks, control socket (on worker 0)
 *     proxy_handle(exchange, proxy, until)    every request
 *     proxy_drain(proxy, index)               each worker's drain
 *     proxy_free(proxy)                       after the workers have ended
 */
#pragma once

#include "app/proxy/access.h"
#include "http/exchange.h"
#include "net/tls.h"

struct proxy;

struct proxy_auth { /* one user: the line "USER:PASSWORD" of the file */
    struct slice user, password;
};

struct proxy_options {
    struct access access;
    struct access_rules trusted; /* clients whose X-Forwarded-* are kept */
    const char *const *origins;  /* URLs; none: forward mode */
    size_t origin_count;
    const char *health_path;     /* NULL: no active checks */
    int64_t health_interval;     /* ns */
    uint64_t cache_memory;       /* bytes; 0: nothing is stored */
    const char *cache_dir;       /* NULL: no disk tier */
    uint64_t cache_size;         /* of the disk tier */
    uint64_t object_max;         /* larger responses are not stored */
    const struct slice *targets; /* RFC 9213 target list; reverse mode only */
    int target_count;
    const char *parent; /* URL of the next proxy, or NULL */
    struct tls_client_options tls;
    int64_t origin_timeout;   /* ns without a byte from the origin */
    const char *auth_file;    /* "USER:PASSWORD" lines, or NULL */
    struct trace_sink *trace; /* or NULL */
    const char *control;      /* path of the control socket, or NULL */
};

/* Takes over the access rules of the options, also when it fails; the texts stay the caller's. */
MUST err_t proxy_new(const struct proxy_options *, int workers, struct proxy **);
void proxy_free(struct proxy *);
MUST err_t proxy_start(struct proxy *, int index);
void proxy_drain(struct proxy *, int index);

err_t proxy_handle(struct exchange *, const void *proxy, tick until);

/* The client's side of the control socket: one command line, and the whole answer. E_DATA with the proxy's words. */
MUST err_t proxy_control_ask(const char *path, struct slice command, struct buf *answer, tick until);
