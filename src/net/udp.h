/* SPDX-License-Identifier: MIT */
/*
 * udp.h -- datagrams in batches, with what the kernel knows about each: when it came and with which TTL and TOS.
 *
 * Receive stamps are the kernel's (SO_TIMESTAMPING, software). Send stamps and ICMP errors come back over the
 * error queue. All buffers are allocated once; handling a datagram allocates nothing.
 */
#pragma once

#include "base/addr.h"
#include "rt/io.h"

struct datagram {
    struct addr peer;     /* from whom, or to whom (ignored on a connected socket) */
    struct addr local;    /* the destination address it came to (with UDP_LOCAL), for answering from the same one */
    struct slice payload; /* received: into the batch's buffers, valid until the next receive */
    int64_t wall_ns;      /* kernel receive time, wall clock; 0 when there is no stamp */
    uint32_t interface;   /* index, 0 unknown */
    int16_t ttl, tos;     /* -1 unknown; to send: -1 leaves the socket's setting */
    bool cut;             /* longer than the buffer: the rest is lost */
    bool group;           /* it came to a broadcast or multicast address (with UDP_LOCAL) */
};

enum udp_flags {
    UDP_LOCAL = 1,     /* local address and interface of each datagram */
    UDP_TTL = 2,       /* its TTL */
    UDP_TOS = 4,       /* its TOS */
    UDP_RX_STAMP = 8,  /* kernel receive stamps */
    UDP_TX_STAMP = 16, /* kernel send stamps by udp_event */
    UDP_ERRORS = 32,   /* ICMP errors by udp_event (IP_RECVERR) */
    UDP_NO_FRAGMENT = 64,
    UDP_BROADCAST_OK = 128,
};

/* Switch the flags on for a socket that listen_open or udp_dial made. `*granted` says which the kernel gave. */
MUST err_t udp_setup(int fd, enum udp_flags want, enum udp_flags *granted);
MUST err_t udp_dial(const struct addr *peer, int *fd); /* connected */
MUST err_t udp_open(int family, int *fd);              /* unbound */

struct udp_batch; /* buffers for up to `count` datagrams of up to `size` bytes */
MUST err_t udp_batch_new(unsigned count, size_t size, struct udp_batch **);
void udp_batch_free(struct udp_batch *);

/* At least one datagram. `*out` points at `*got` datagrams of the batch. On a connected socket, or with UDP_ERRORS, an
   ICMP error comes back once as E_REFUSED, E_UNREACHABLE and so on: look at udp_event and receive on. */
MUST err_t udp_recv(int fd, struct udp_batch *, struct datagram **out, unsigned *got, tick until);
/* Send `n` datagrams; `*sent` of them were taken by the kernel; on an error the one at index *sent failed. */
MUST err_t udp_send(int fd, struct udp_batch *, const struct datagram *, unsigned n, unsigned *sent, tick until);

/* One event from the error queue. */
struct udp_event {
    enum { UDP_EVENT_STAMP, UDP_EVENT_ICMP } what;
    int64_t wall_ns;      /* STAMP: when the kernel handed the datagram to the device */
    uint32_t id;          /* STAMP: count of datagrams sent on this socket before it, from 0 */
    int error;            /* ICMP: errno */
    uint8_t type, code;   /* ICMP */
    struct addr offender; /* ICMP: the host that complained; len 0 when unknown */
    struct addr peer;     /* ICMP: where the datagram was going */
    uint32_t mtu;         /* ICMP "too big" */
    struct slice payload; /* what is left of the datagram sent, valid until the next call */
};
/* The next event without waiting: E_TIMEOUT when there is none. The error queue makes the descriptor readable, so wait
   with io_wait(fd, IO_READ, ...), take all events, then call udp_recv with the time now(): that also finds out that
   nothing more is there, without which io_wait returns at once. */
MUST err_t udp_event(int fd, struct udp_event *);
