/* SPDX-License-Identifier: MIT */
#include "base/random.h"

#include <errno.h>
#include <math.h>
#include <sys/random.h>

#include "base/check.h"

void random_bytes(void *out, size_t n)
{
    for (char *p = out; n;) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR) /* a signal while the kernel's pool is still filling, early at boot */
            continue;
        CHECK(got > 0);
        p += got;
        n -= (size_t)got;
    }
}

uint64_t random_u64(void)
{
    uint64_t v;
    random_bytes(&v, sizeof v);
    return v;
}

void prng_seed(struct prng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = seed += 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        r->s[i] = z ^ z >> 31;
    }
}

static uint64_t rotl(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

uint64_t prng_u64(struct prng *r)
{
    uint64_t *s = r->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0], s[3] ^= s[1], s[1] ^= s[2], s[0] ^= s[3];
    s[2] ^= t, s[3] = rotl(s[3], 45);
    return result;
}

double prng_unit(struct prng *r)
{
    return (double)(prng_u64(r) >> 11) * 0x1p-53;
}

uint64_t prng_below(struct prng *r, uint64_t bound)
{
    CHECK(bound > 0);
    uint64_t least = -bound % bound, v;
    do
        v = prng_u64(r);
    while (v < least);
    return v % bound;
}

double prng_exponential(struct prng *r, double mean)
{
    return -mean * log1p(-prng_unit(r));
}
