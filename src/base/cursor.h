/* SPDX-License-Identifier: MIT */
/*
 * cursor.h -- reading and writing fixed binary layouts with a sticky error (after knot's wire_ctx).
 *
 * Read or write field after field, then look at `bad` once. A read past the end gives zeros and sets `bad`;
 * a write past the end writes nothing and sets it. All integers are big-endian (network order).
 */
#pragma once

#include <endian.h>

#include "base/slice.h"

struct cursor {
    uint8_t *p; /* for reading the bytes are never written through */
    size_t n, at;
    bool bad;
};

static inline struct cursor cursor_reader(struct slice s)
{
    return (struct cursor){(uint8_t *)(uintptr_t)s.p, s.n, 0, false};
}
static inline struct cursor cursor_writer(void *p, size_t cap)
{
    return (struct cursor){p, cap, 0, false};
}
static inline size_t cursor_left(const struct cursor *c)
{
    return c->n - c->at;
}
static inline uint8_t *cursor_take(struct cursor *c, size_t n)
{
    if (c->bad || cursor_left(c) < n) {
        c->bad = true;
        return NULL;
    }
    c->at += n;
    return c->p + c->at - n;
}
static inline uint64_t cursor_get(struct cursor *c, size_t bytes)
{
    const uint8_t *p = cursor_take(c, bytes);
    uint64_t v = 0;
    for (size_t i = 0; p && i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}
static inline void cursor_put(struct cursor *c, uint64_t v, size_t bytes) /* from 1 to 8 */
{
    uint8_t *p = cursor_take(c, bytes);
    uint64_t first = htobe64(v << 8 * (8 - bytes));
    if (p)
        memcpy(p, &first, bytes);
}
static inline uint8_t cursor_get_u8(struct cursor *c)
{
    const uint8_t *p = cursor_take(c, 1);
    return p ? *p : 0;
}
/* These are one load and one swap each, for packets by the million. */
static inline uint16_t cursor_get_u16(struct cursor *c)
{
    const uint8_t *p = cursor_take(c, 2);
    uint16_t v = 0;
    if (p)
        memcpy(&v, p, sizeof v);
    return be16toh(v);
}
static inline uint32_t cursor_get_u32(struct cursor *c)
{
    const uint8_t *p = cursor_take(c, 4);
    uint32_t v = 0;
    if (p)
        memcpy(&v, p, sizeof v);
    return be32toh(v);
}
static inline uint64_t cursor_get_u64(struct cursor *c)
{
    const uint8_t *p = cursor_take(c, 8);
    uint64_t v = 0;
    if (p)
        memcpy(&v, p, sizeof v);
    return be64toh(v);
}
static inline struct slice cursor_get_bytes(struct cursor *c, size_t n)
{
    const uint8_t *p = cursor_take(c, n);
    return p ? slice_of(p, n) : SLICE_NONE;
}
static inline void cursor_put_bytes(struct cursor *c, struct slice s)
{
    uint8_t *p = cursor_take(c, s.n);
    if (p && s.n)
        memcpy(p, s.p, s.n);
}
static inline void cursor_put_zeros(struct cursor *c, size_t n)
{
    uint8_t *p = cursor_take(c, n);
    if (p)
        memset(p, 0, n);
}
