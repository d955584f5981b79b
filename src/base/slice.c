/* SPDX-License-Identifier: MIT */
#include "base/slice.h"

int ascii_hex(char c)
{
    if (ascii_digit(c))
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool slice_same_case(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i] && ascii_lower(a[i]) != ascii_lower(b[i]))
            return false;
    return true;
}

bool slice_eq_secret(struct slice a, struct slice b)
{
    unsigned differ = a.n != b.n;
    for (size_t i = 0; i < a.n && i < b.n; i++)
        differ |= (unsigned char)(a.p[i] ^ b.p[i]);
    return differ == 0;
}

bool slice_starts_case(struct slice s, struct slice head)
{
    return s.n >= head.n && slice_eq_case(slice_first(s, head.n), head);
}

int slice_cmp(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

size_t slice_find(struct slice s, char c, size_t from)
{
    if (from >= s.n)
        return SIZE_MAX;
    const char *at = memchr(s.p + from, c, s.n - from);
    return at ? (size_t)(at - s.p) : SIZE_MAX;
}

size_t slice_find_slice(struct slice s, struct slice needle)
{
    if (needle.n == 0)
        return 0;
    if (s.n < needle.n)
        return SIZE_MAX;
    const char *at = memmem(s.p, s.n, needle.p, needle.n);
    return at ? (size_t)(at - s.p) : SIZE_MAX;
}

bool slice_has(struct slice s, char c)
{
    return slice_find(s, c, 0) != SIZE_MAX;
}

struct slice slice_trim(struct slice s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = slice_from(s, 1);
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

bool slice_cut(struct slice *rest, char sep, struct slice *head)
{
    if (rest->p == NULL)
        return false;
    size_t at = slice_find(*rest, sep, 0);
    if (at == SIZE_MAX) {
        *head = *rest;
        *rest = SLICE_NONE;
    } else {
        *head = slice_first(*rest, at);
        *rest = slice_from(*rest, at + 1);
    }
    return true;
}

struct slice slice_of_u64(uint64_t v, char room[SLICE_U64])
{
    static const char pairs[] =
        "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243"
        "4445464748495051525354555657585960616263646566676869707172737475767778798081828384858687"
        "888990919293949596979899";
    char *at = room + SLICE_U64;
    for (; v >= 10; v /= 100)
        memcpy(at -= 2, pairs + v % 100 * 2, 2);
    if (v || at == room + SLICE_U64)
        *--at = (char)('0' + v);
    return slice_of(at, (size_t)(room + SLICE_U64 - at));
}

bool slice_u64(struct slice s, uint64_t *out)
{
    enum { SURE = 19 }; /* that many digits fit */
    uint64_t v = 0;
    size_t i = 0;
    if (s.n == 0)
        return false;
    for (; i < s.n && i < SURE; i++) {
        if (!ascii_digit(s.p[i]))
            return false;
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    }
    for (; i < s.n; i++) {
        if (!ascii_digit(s.p[i]) || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    }
    *out = v;
    return true;
}

bool slice_hex_u64(struct slice s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        int d = ascii_hex(s.p[i]);
        if (d < 0 || v >> 60)
            return false;
        v = v << 4 | (uint64_t)d;
    }
    *out = v;
    return true;
}

/* SipHash-1-3 (Aumasson, Bernstein, "SipHash: a fast short-input PRF"): keyed, so that a peer who chooses
   names cannot choose collisions. Bytes are folded to lower case first when `fold` is set. */
static inline uint64_t rotl(uint64_t x, int b)
{
    return x << b | x >> (64 - b);
}

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1, s->v1 = rotl(s->v1, 13), s->v1 ^= s->v0, s->v0 = rotl(s->v0, 32);
    s->v2 += s->v3, s->v3 = rotl(s->v3, 16), s->v3 ^= s->v2;
    s->v0 += s->v3, s->v3 = rotl(s->v3, 21), s->v3 ^= s->v0;
    s->v2 += s->v1, s->v1 = rotl(s->v1, 17), s->v1 ^= s->v2, s->v2 = rotl(s->v2, 32);
}

static inline uint64_t load_le(const char *p, size_t n, bool fold)
{
    uint64_t w = 0;
    for (size_t i = 0; i < n; i++)
        w |= (uint64_t)(uint8_t)(fold ? ascii_lower(p[i]) : p[i]) << (8 * i);
    return w;
}

/* Four to seven bytes, by two loads that overlap. */
static inline uint64_t load_some(const char *p, size_t n)
{
    uint32_t low, high;
    memcpy(&low, p, 4);
    memcpy(&high, p + n - 4, 4);
    return low | (uint64_t)high << 8 * (n - 4);
}

/* The bytes from `at`, a multiple of eight, on: out of the last eight when there are so many. */
static inline uint64_t load_rest(struct slice s, size_t at, bool fold)
{
    uint64_t w;
    if (fold || s.n < 4 || at == s.n)
        return load_le(s.p + at, s.n - at, fold);
    if (s.n < 8)
        return load_some(s.p, s.n);
    memcpy(&w, s.p + s.n - 8, 8);
    return w >> 8 * (8 - (s.n - at));
}

static uint64_t sip13(struct slice s, uint64_t seed, bool fold)
{
    uint64_t k0 = seed, k1 = seed * 0x9e3779b97f4a7c15u ^ 0x6c376c3720313361u;
    struct sip h = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
                    k1 ^ 0x7465646279746573u};
    size_t i = 0;
    for (; i + 8 <= s.n; i += 8) {
        uint64_t w;
        if (fold)
            w = load_le(s.p + i, 8, true);
        else
            memcpy(&w, s.p + i, 8);
        h.v3 ^= w;
        sip_round(&h);
        h.v0 ^= w;
    }
    uint64_t last = (uint64_t)s.n << 56 | load_rest(s, i, fold);
    h.v3 ^= last;
    sip_round(&h);
    h.v0 ^= last;
    h.v2 ^= 0xff;
    sip_round(&h), sip_round(&h), sip_round(&h);
    return h.v0 ^ h.v1 ^ h.v2 ^ h.v3;
}

uint64_t slice_hash(struct slice s, uint64_t seed)
{
    return sip13(s, seed, false);
}

uint64_t slice_hash_case(struct slice s, uint64_t seed)
{
    return sip13(s, seed, true);
}

bool slice_to_z(struct slice s, char *out, size_t cap)
{
    if (s.n >= cap || (s.n && memchr(s.p, 0, s.n)))
        return false;
    if (s.n)
        memcpy(out, s.p, s.n);
    out[s.n] = 0;
    return true;
}
