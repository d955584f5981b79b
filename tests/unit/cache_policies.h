/* SPDX-License-Identifier: MIT */
/*
 * cache_policies.h -- the policies that the memory tier's is held against, simulated over a trace. Small and plain
 * rather than fast; each is as its paper has it, and where a sketch would estimate, counts exactly.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct trace {
    uint32_t *v; /* ids below `ids`, in the order in which they are asked for */
    size_t n;
    uint32_t ids;
    uint32_t *size; /* of each id, none larger than a hundredth of the room; NULL: 1 each */
};

/* How many of the requests a cache of `room` answers. ARC and Belady are for traces without sizes. */
size_t policy_lru(const struct trace *, size_t room);
size_t policy_lfu(const struct trace *, size_t room);      /* counts while it holds an object */
size_t policy_s3fifo(const struct trace *, size_t room);   /* Yang et al., SOSP 2023 */
size_t policy_arc(const struct trace *, size_t room);      /* Megiddo and Modha, FAST 2003 */
size_t policy_sieve(const struct trace *, size_t room);    /* Zhang et al., NSDI 2024 */
size_t policy_wtinylfu(const struct trace *, size_t room); /* Einziger et al., TOS 2017: window of 1 % */
/* Two bounds that no store can have: a count of everything ever asked for, and the future. */
size_t policy_lfu_forever(const struct trace *, size_t room);
size_t policy_belady(const struct trace *, size_t room);
