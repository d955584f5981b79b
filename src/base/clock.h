/* SPDX-License-Identifier: MIT */
/*
 * clock.h -- time. A tick is a count of nanoseconds on the monotonic clock; wall time is nanoseconds since
 * 1970-01-01T00:00:00Z. In simulated builds both come from virtual time. Protocol code takes time as an
 * argument; only loops and tools read clocks.
 */
#pragma once

#include <stdint.h>

typedef int64_t tick;

#define TICK_NEVER INT64_MAX
#define TICK_US    INT64_C(1000)
#define TICK_MS    INT64_C(1000000)
#define TICK_S     INT64_C(1000000000)

tick clock_now(void);     /* monotonic, ns */
int64_t clock_wall(void); /* since the epoch, ns */
