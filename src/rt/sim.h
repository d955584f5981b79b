/* SPDX-License-Identifier: MIT */
/*
 * sim.h -- a network and a clock that exist only in memory, linked instead of the kernel's (test link only).
 *
 * sim.c implements poll.h, sys.h, clock.h and offload.h. Both ends of every connection live in this process, as fibers
 * of one loop; when nobody can go on, virtual time jumps to the next timer or delivery. So an hour of timeouts takes
 * milliseconds, and a run is the same every time. Files are real; descriptors below SIM_FIRST go to the kernel. When
 * nobody can go on and nothing is due, the run is stuck: it lists the fibers and aborts.
 */
#pragma once

#include "base/addr.h"
#include "base/clock.h"

enum { SIM_FIRST = 1 << 16 };

void sim_reset(void);                       /* a new, empty world; every simulated descriptor must be closed by then */
void sim_latency(tick one_way);             /* of bytes sent from now on; 0 at first */
void sim_window(size_t bytes);              /* receive buffer of connections made from now on; 64 KiB at first */
void sim_chunk(size_t most);                /* no read or write moves more at once; 0: no bound */
void sim_blackhole(uint16_t port, bool on); /* connections to that port neither succeed nor fail */
void sim_blackhole_host(
    const struct addr *);          /* neither do connections to that address, whatever the port; until reset */
void sim_wall(int64_t ns);         /* set the wall clock (it then runs on with virtual time) */
void sim_abort_connection(int fd); /* RST: both directions, unread bytes are lost */
size_t sim_open_count(void);       /* simulated descriptors open now: for leak checks */

/* Torture: the nth call of the seam from now fails once with `errnum`; 0 switches it off. */
void sim_fail(unsigned long nth, int errnum);
unsigned long sim_calls(void); /* of the seam, since sim_reset */
