/* SPDX-License-Identifier: MIT */
/*
 * traceroute.h -- the path to a host, hop by hop, without root.
 *
 * UDP probes to ports that nobody listens on, with a time to live of 1, 2, 3 and so on. The router where it runs out
 * says so by ICMP (RFC 792, 4443), the host itself that the port is closed. Both come back over the socket's error
 * queue with the port that the probe went to, which is its number. Several are under way at once; hops are printed in
 * order.
 */
#pragma once

#include "base/addr.h"
#include "base/clock.h"

struct trace_conf {
    struct addr target;
    const char *name;         /* as it was asked for */
    int first, hops, queries; /* first TTL, last TTL, probes a hop */
    int at_once;              /* probes under way */
    uint16_t port;            /* of the first probe */
    size_t size;              /* bytes of payload */
    tick wait;                /* for each probe's answer */
    bool numeric, json;
};

enum { TRACE_HOPS_MAX = 255, TRACE_QUERIES_MAX = 10, TRACE_SIZE_MAX = 1400 };

/* Trace and print; on a fiber. `*reached`: did the host itself answer? */
MUST err_t traceroute(const struct trace_conf *, bool *reached);
