/* SPDX-License-Identifier: MIT */
/*
 * slice.h -- borrowed bytes.
 *
 * A slice is a pointer and a length into memory that somebody else owns. It is passed by value, is never
 * freed through, need not end in NUL and may hold any byte. Parsers return slices of their input, so a
 * slice lives as long as the buffer or arena behind it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *p;
    size_t n;
};

#define SLICE_NONE ((struct slice){NULL, 0})

/* A slice of a string literal; the length is computed by the compiler. */
#define S(literal) ((struct slice){"" literal, sizeof(literal) - 1})

/* For printf: "%.*s", SLICE_ARG(s). Only for text that is known to hold no control characters. */
#define SLICE_ARG(s) (int)(s).n, (s).n ? (s).p : ""

static inline struct slice slice_of(const void *p, size_t n)
{
    return (struct slice){p, n};
}

/* The bytes of a C string; NULL gives the empty slice. */
static inline struct slice slice_z(const char *z)
{
    return (struct slice){z, z ? strlen(z) : 0};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_starts(struct slice s, struct slice head)
{
    return s.n >= head.n && (head.n == 0 || memcmp(s.p, head.p, head.n) == 0);
}

static inline bool slice_ends(struct slice s, struct slice tail)
{
    return s.n >= tail.n && (tail.n == 0 || memcmp(s.p + s.n - tail.n, tail.p, tail.n) == 0);
}

/* The bytes from `from` on; empty when `from` is past the end. */
static inline struct slice slice_from(struct slice s, size_t from)
{
    return from >= s.n ? (struct slice){s.p ? s.p + s.n : s.p, 0} : (struct slice){s.p + from, s.n - from};
}

/* At most the first `n` bytes. */
static inline struct slice slice_first(struct slice s, size_t n)
{
    return n >= s.n ? s : (struct slice){s.p, n};
}

/* Its bytes to where there is room for them; returns what follows. */
static inline char *slice_put(char *at, struct slice s)
{
    if (s.n)
        memcpy(at, s.p, s.n);
    return at + s.n;
}

/* ASCII only, without locale: what the protocols mean by case-insensitive. */
static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}
static inline char ascii_upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c & ~0x20) : c;
}
static inline bool ascii_digit(char c)
{
    return c >= '0' && c <= '9';
}
static inline bool ascii_alpha(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}
/* -1 when `c` is no hexadecimal digit. */
int ascii_hex(char c);

bool slice_same_case(const char *, const char *, size_t n);
/* Equal but for ASCII case. */
static inline bool slice_eq_case(struct slice a, struct slice b)
{
    return a.n == b.n && slice_same_case(a.p, b.p, a.n);
}
bool slice_starts_case(struct slice s, struct slice head);
/* Equal, found out in a time that depends on the lengths only: for passwords and tokens that a peer guesses at. */
bool slice_eq_secret(struct slice a, struct slice b);
int slice_cmp(struct slice a, struct slice b); /* order of bytes, as memcmp; shorter first */

/* Index of the first `c` at or after `from`, or SIZE_MAX. */
size_t slice_find(struct slice s, char c, size_t from);
/* Index of the first occurrence of `needle`, or SIZE_MAX. */
size_t slice_find_slice(struct slice s, struct slice needle);
bool slice_has(struct slice s, char c);

struct slice slice_trim(struct slice s); /* without SP and HTAB at both ends */

/* Cut the part before the first `sep` off `*rest` and leave what follows it there. Returns false, with
   `*head` untouched, when nothing is left; the last part is returned even when no `sep` follows it. */
bool slice_cut(struct slice *rest, char sep, struct slice *head);

/* In decimal, at the end of `room`. */
enum { SLICE_U64 = 20 };
struct slice slice_of_u64(uint64_t, char room[SLICE_U64]);

/* The whole slice as a number in [0, UINT64_MAX]; digits only, at least one; false on anything else. */
bool slice_u64(struct slice s, uint64_t *out);
bool slice_hex_u64(struct slice s, uint64_t *out);

uint64_t slice_hash(struct slice s, uint64_t seed);      /* keyed, resists crafted collisions */
uint64_t slice_hash_case(struct slice s, uint64_t seed); /* of the lower-cased bytes */

/* A NUL-terminated copy in `out` of `cap` bytes; false when it does not fit or holds a NUL. */
bool slice_to_z(struct slice s, char *out, size_t cap);
