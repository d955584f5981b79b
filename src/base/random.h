/* SPDX-License-Identifier: MIT */
/*
 * random.h -- two kinds of randomness: unpredictable (keys, boundaries, hash seeds) from the kernel, and
 * repeatable (impairments, simulations) from a seed: xoshiro256** by Blackman and Vigna, seeded through
 * splitmix64, so the same seed gives the same run on every machine.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

void random_bytes(void *out, size_t n);
uint64_t random_u64(void);

struct prng {
    uint64_t s[4];
};

void prng_seed(struct prng *, uint64_t seed);
uint64_t prng_u64(struct prng *);
double prng_unit(struct prng *);                     /* in [0, 1) */
uint64_t prng_below(struct prng *, uint64_t bound);  /* in [0, bound), without bias; bound > 0 */
double prng_exponential(struct prng *, double mean); /* exponentially distributed */
