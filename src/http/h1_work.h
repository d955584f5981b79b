/* SPDX-License-Identifier: MIT */
/*
 * h1_work.h -- what a connection needs only while it is active: a buffer for heads coming in, one for heads going out,
 * and the exchange's arena. Recycled by each worker, last used first, so that few of them stay warm.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "http/h1_target.h"

struct h1_work {
    struct buf in; /* [at, n) has not been taken yet; slices of the current request point in front of it */
    size_t at;
    struct buf out; /* the head being sent */
    struct arena arena;
    struct h1_host host; /* the last one */
    struct h1_work *next;
};

enum { H1_WORK_IN = 8 << 10, H1_WORK_OUT = 2 << 10 };

struct h1_spare { /* a worker's, {0} at first */
    struct h1_work *first;
    unsigned count;
};
struct h1_work *h1_work_take(struct h1_spare *); /* NULL: out of memory */
void h1_work_give(struct h1_spare *, struct h1_work *);
void h1_work_trim(struct h1_spare *, unsigned keep); /* free all but `keep` */
