/* SPDX-License-Identifier: MIT */
/*
 * listen.h -- the pinger's other end: an echo server on one port, a STAMP reflector (RFC 8762) on another.
 *
 * A fiber a socket and worker takes datagrams in batches and sends the same batch back out of the receive buffers, so
 * nothing is allocated or copied. A reply is never longer than its request. Not answered are: what comes to broadcast
 * or multicast addresses, from our own ports or from the ports of services that answer everything (two reflectors would
 * talk for ever), from a client above its rate, and (STAMP) what is no test packet or fails its HMAC.
 *
 * When impairments are asked for, replies pass a queue and a second fiber sends them; that is one worker's job, since
 * "each 11th" and a seed mean something only in one order.
 */
#pragma once

#include "base/addr.h"
#include "dgram/impair.h"
#include "net/tls_digest.h"
#include "wire/trace.h"

enum { REFLECT_PORTS_MAX = 32 };

struct reflect_conf {
    struct impair_conf impair;
    uint64_t rate;      /* datagrams a second and client; 0: no limit */
    bool rate_loopback; /* the limit is for loopback clients too */
    bool stateful;
    const struct digest_keys *keys;    /* NULL: STAMP without authentication */
    struct trace_sink *trace;          /* NULL: none */
    uint16_t ports[REFLECT_PORTS_MAX]; /* our own */
    size_t port_count;
};

struct reflect_counts {
    uint64_t received, answered;
    uint64_t ignored; /* addresses, ports, loops */
    uint64_t limited; /* above the rate */
    uint64_t malformed, forged;
    struct impair_counts impair;
};

struct reflect; /* of all workers */
MUST err_t reflect_new(const struct reflect_conf *, int workers, struct reflect **);
void reflect_free(struct reflect *);

struct reflect_socket {
    int fd;
    struct addr local;
    bool stamp;
};
/* On worker `index`'s loop, in a fiber: reflect on these sockets from now on. */
MUST err_t reflect_start(struct reflect *, int index, const struct reflect_socket *, size_t n);
void reflect_drain(struct reflect *, int index);              /* on the loop: stop */
struct reflect_counts reflect_counts(const struct reflect *); /* of all workers, once they have ended */
