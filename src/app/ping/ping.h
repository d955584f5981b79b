/* SPDX-License-Identifier: MIT */
/*
 * ping.h -- the UDP pinger: numbered, timed datagrams to any echo server or STAMP reflector.
 *
 * One fiber a host sends at absolute times and takes in what comes: replies, the kernel's send stamps and ICMP errors.
 * A probe's round trip is the kernel's receive stamp minus its send stamp, so neither our scheduling nor the reading
 * of a clock is measured; where the kernel gives no stamps the user clock is used and every output says so.
 */
#pragma once

#include "app/ping/probes.h"
#include "app/ping/stamp_stats.h"
#include "base/addr.h"
#include "base/histogram.h"
#include "net/tls_digest.h"
#include "wire/trace.h"

enum ping_output { PING_TEXT, PING_JSON };

struct ping_conf {
    int64_t count;                       /* 0: until interrupted */
    int64_t interval, timeout, deadline; /* ns; deadline 0: none */
    size_t size;
    int ttl, tos; /* -1: as the system does */
    struct slice fill;
    bool flood, quiet, dated, histogram, no_fragment;
    enum ping_output output;
    bool live;
    const char *svg, *hgrm; /* files, NULL: none */
    bool stamp, stateful, ptp;
    const struct digest_keys *keys; /* NULL: unauthenticated */
    struct trace_sink *trace;       /* NULL: none */
};

struct ping_point { /* for the plots: one answered or lost probe */
    double at, ms;  /* seconds since the start; NaN when lost */
};

struct ping_host {
    const struct ping_conf *conf;
    const char *name; /* as it was asked for */
    struct addr addr;
    struct addr others[4]; /* of the same name: tried in turn while the port is refused */
    size_t other_count;
    /* -- the rest belongs to ping.c; report.c and live.c read it -- */
    char text[ADDR_TEXT]; /* numeric, with port */
    int fd;
    struct udp_batch *batch;
    struct udp_warm *warm; /* of all hosts */
    char *packet;
    struct probes probes;
    struct histogram rtt; /* ns */
    struct stamp_stats stamp;
    uint64_t user_times; /* answers that were timed by the user clock */
    uint64_t forged;     /* replies whose HMAC was wrong */
    uint64_t missed;     /* sending times that passed before we could send */
    uint16_t ssid;
    bool lazy; /* replies are read when the next probe is sent */
    tick start, end, next_send, last_answer;
    err_t fate;                /* why it ended early; NULL */
    struct ping_point *points; /* a ring of the last PING_POINTS, when a plot was asked for */
    size_t point_count;
};
enum { PING_OTHERS = 4, PING_POINTS = 4096, PING_SIZE_MAX = 65507 };

/* One answer, as it is reported. */
struct ping_reply {
    const struct probe *probe;
    struct probe_verdict verdict;
    size_t bytes;
    int ttl, tos;                    /* -1 unknown */
    int64_t rtt;                     /* ns */
    bool kernel;                     /* both ends of it are kernel stamps */
    const struct stamp_times *stamp; /* NULL without STAMP */
};

/* Ping all hosts until each is done, printing as it goes, then the summaries. Call it on a fiber. Returns E_CANCELED
   when a signal ended it (the summaries are printed all the same). */
MUST err_t ping_run(struct ping_host *, size_t n);
void ping_free(struct ping_host *, size_t n);
/* As ping(8): 0 every host has answered, 1 not, 2 something else went wrong. */
int ping_status(const struct ping_host *, size_t n, err_t);
