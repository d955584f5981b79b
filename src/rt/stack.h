/* SPDX-License-Identifier: MIT */
/*
 * stack.h -- stacks with a guard below, recycled last-in first-out.
 *
 * 64 KiB usable (256 KiB in sanitizer builds, whose frames are larger) above a guard of 64 KiB, because foreign code
 * may step over a small one. The k-th stack starts (k * 5 % 64) * 64 bytes lower, or the hot frames of all fibers would
 * share one cache set. A few stay warm; the rest go back to the kernel.
 */
#pragma once

#include "base/err.h"

struct stack {
    char *low, *top;    /* usable: [low, top) */
    struct stack *next; /* in the cache */
    unsigned valgrind;
};

struct stack_cache {
    struct stack *first;
    unsigned count, least; /* cached now; the least since the last trim */
    unsigned made;
};

/* The struct itself lies at the top of the stack that it describes. NULL: out of memory or mappings. */
struct stack *stack_take(struct stack_cache *);
void stack_give(struct stack_cache *, struct stack *);
void stack_trim(struct stack_cache *); /* free those that nobody needed since the last trim */
void stack_cache_done(struct stack_cache *);

/* Census: fill a stack before use, and see afterwards how deep it was used, in bytes. */
void stack_paint(struct stack *, char *from);
size_t stack_depth(const struct stack *);
