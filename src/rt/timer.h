/* SPDX-License-Identifier: MIT */
/*
 * timer.h -- a hierarchical timer wheel (Varghese and Lauck), O(1) to set and to stop.
 *
 * Timers carry their exact time; the wheel's slots only sort them roughly (2^20 ns each in the finest level),
 * and a slot is looked at closely when its time comes, so they fire with the precision of the poller, never early.
 * Setting a timer that is already in the wheel to a *later* time only writes the field; it moves when its old
 * slot comes up. That makes the idle timer of a busy connection free.
 */
#pragma once

#include "base/clock.h"
#include "base/list.h"

struct timer {
    struct list link;
    tick at;                      /* when it should fire */
    tick queued;                  /* the time its place in the wheel stands for */
    void (*fire)(struct timer *); /* on the loop, must not suspend; the timer is out of the wheel by then */
};

enum { TIMER_LEVELS = 6, TIMER_BITS = 6, TIMER_SLOTS = 1 << TIMER_BITS, TIMER_SHIFT = 20 };

struct timer_wheel {
    struct list slot[TIMER_LEVELS][TIMER_SLOTS];
    uint64_t used[TIMER_LEVELS]; /* one bit a slot that may hold timers */
    uint64_t turn;               /* now >> TIMER_SHIFT as of the last run */
};

void timer_wheel_init(struct timer_wheel *, tick now);
void timer_wheel_run(struct timer_wheel *, tick now);       /* fire what is due */
tick timer_wheel_next(const struct timer_wheel *);          /* no timer fires before this; TICK_NEVER when empty */
void timer_wheel_add(struct timer_wheel *, struct timer *); /* one that is not in the wheel, at its `at` */
void timer_wheel_set(struct timer_wheel *, struct timer *, tick at); /* as timer_set, on any wheel */

/* On this thread's loop. A struct timer that is {0} but for `fire` is a stopped timer. */
void timer_set(struct timer *, tick at); /* TICK_NEVER stops it */
void timer_stop(struct timer *);
