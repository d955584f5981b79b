/* SPDX-License-Identifier: MIT */
/*
 * simulate.h -- `l7 heartbeat simulate FILE`: what would these settings have done with the beats that were recorded?
 *
 * Every beat of a sender that went on beating was alive: a deadline that had passed when it came was a false alarm.
 * How long a death takes to be seen is found by letting the sender die, in thought, once between every two beats.
 */
#pragma once

#include "app/heartbeat/detector.h"
#include "base/buf.h"

enum { SIMULATE_SETTINGS_MAX = 32 };

struct simulate_setting {
    const char *name; /* as the user gave it */
    int64_t timeout;  /* ns, fixed; used when rate is 0 */
    double rate;      /* false alarms a nanosecond and sender */
};

struct simulation;
MUST err_t simulation_new(const struct simulate_setting *, int n, struct simulation **);
/* One line of a record file. E_DATA when it is none. */
MUST err_t simulation_line(struct simulation *, struct slice);
/* The table, or JSON: false alarms a sender-hour, detection time median and 99th percentile. */
MUST err_t simulation_report(const struct simulation *, bool json, struct buf *);
void simulation_free(struct simulation *); /* NULL is accepted */
