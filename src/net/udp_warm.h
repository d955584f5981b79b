/* SPDX-License-Identifier: MIT */
/*
 * udp_warm.h -- a datagram to ourselves, so that the next one finds the kernel's way of sending in the processor's
 * caches.
 *
 * After some milliseconds of sleep the first packet takes 1 to 2 us longer between its send stamp and the device, and
 * that is no property of the network. The datagram is empty, goes from a socket of its own to itself over loopback,
 * carries a send stamp as well, and is read again at once.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"

struct udp_warm {
    int fd;    /* -1: not possible here (no loopback interface), and then not done */
    tick last; /* when something was sent, by whomever */
};

void udp_warm_open(struct udp_warm *, int family); /* AF_INET or AF_INET6 */
void udp_warm_close(struct udp_warm *);
/* Call it just before something is sent at `now`: warms unless that has been done anyway lately. */
void udp_warm(struct udp_warm *, tick now);
