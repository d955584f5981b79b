/* SPDX-License-Identifier: MIT */
/* sim_world.h -- what the two halves of the simulator share: sim.c (time, the poller) and sim_socket.c (sockets). */
#pragma once

#include "base/list.h"
#include "rt/poll.h"
#include "rt/sim.h"

enum { SOCKETS = 4096, WINDOW = 64 << 10, BACKLOG = 512, SAME_TIME_MAX = 1 << 20 };

struct segment { /* bytes on their way or waiting to be read; n 0 is FIN */
    struct list link;
    tick at; /* when it arrives */
    size_t n, taken;
    char data[];
};

struct sock {
    enum { UNUSED, FRESH, LISTENER, CONNECTING, CONNECTED, DEAD } state;
    struct addr local, remote;
    struct sock *peer;             /* NULL once the other end is closed */
    struct list incoming;          /* segments, in order */
    size_t held, window;           /* bytes in `incoming`; the most there may be */
    bool finished, reset;          /* we sent FIN; the peer sent RST */
    int backlog[BACKLOG], waiting; /* LISTENER: descriptors not yet accepted */
    bool watched, news;            /* in the poller; has an edge to report */
    struct ready edge;
};

struct sim_world {
    tick now, latency;
    int64_t wall;
    size_t window, chunk;
    unsigned long calls, fail_in;
    int fail_with, same_time;
    uint16_t next_port;
    bool blackhole[65536];
    struct addr dark[8];
    int dark_count;
};

extern struct sock sim_socks[SOCKETS];
extern struct sim_world sim_world;

bool sim_fails(void);             /* count this call: is it the one that shall fail? errno is set then */
struct sock *sim_sock_of(int fd); /* NULL for the kernel's descriptors */
int sim_fd_of(const struct sock *);
struct segment *sim_arrived(const struct sock *); /* the first segment that is there; NULL */
bool sim_can_read(const struct sock *);
bool sim_can_write(const struct sock *);
void sim_edge(struct sock *); /* something changed: the poller reports it */
