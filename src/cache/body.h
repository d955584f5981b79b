/* SPDX-License-Identifier: MIT */
/*
 * body.h -- the bytes of a stored response: extents of counted blocks.
 *
 * A complete body is one run of extents from 0 to its length; a partial one (RFC 9111 section 3.3) has holes, and
 * never claims a byte that it does not hold. Blocks are counted by reference, so an object made by a 304 or by
 * combining two ranges shares the bytes of the ones it came from. A body is written by one fetch and is immutable
 * afterwards; while it grows, its readers hold the flight's lock for cache_body_at.
 */
#pragma once

#include <stdatomic.h>

#include "base/err.h"

/* Blocks of CACHE_BLOCK_PAGED and more are pages of their own (base/pages.h), which a socket takes without a copy. The
   kernel may still be sending them when the block has gone. */
enum { CACHE_BLOCK_MIN = 4096, CACHE_BLOCK_MAX = 256 << 10, CACHE_BLOCK_PAGED = 32 << 10 };
#define CACHE_LENGTH_UNKNOWN UINT64_MAX

struct cache_block {
    atomic_uint refs;
    bool paged; /* data is pages of its own; otherwise it is behind the block, or in its `home` */
    size_t n, cap;
    char *data;
    void *home; /* the allocation that it stands in, and which goes with it */
};
struct cache_extent {
    uint64_t at, n; /* bytes [at, at + n) of the representation ... */
    size_t offset;  /* ... are block->data[offset ...] */
    struct cache_block *block;
};
struct cache_body {
    uint32_t magic;
    atomic_uint refs;
    bool packed;     /* stands, with its one block, in that block's home */
    uint64_t length; /* of the whole representation; CACHE_LENGTH_UNKNOWN while unknown */
    uint64_t held;   /* bytes held */
    size_t memory;   /* bytes allocated */
    uint32_t count, cap;
    struct cache_extent first; /* most bodies have just one */
    struct cache_extent *v;    /* sorted by `at`, without overlap */
};

struct cache_body *cache_body_new(uint64_t length); /* NULL when out of memory */
struct cache_body *cache_body_ref(struct cache_body *);
void cache_body_unref(struct cache_body *); /* NULL is accepted */

/* Room to write the bytes at `at` into, at least one; then cache_body_grow says how many were. `hint` is how many
   more are expected, 0 unknown. E_NO_MEMORY. */
MUST err_t cache_body_room(struct cache_body *, uint64_t at, uint64_t hint, char **room, size_t *cap);
void cache_body_grow(struct cache_body *, size_t n);
/* Gives back what the last block has too much. Call once nobody reads it yet or under the flight's lock. */
void cache_body_trim(struct cache_body *);
/* Take the extents of `from` that `to` does not have. E_NO_MEMORY. */
MUST err_t cache_body_merge(struct cache_body *to, const struct cache_body *from);

/* Small whole bodies can stand in somebody else's allocation, so that what is sent together is read together. Does this
   one? Then make it: its bytes at `bytes`, its own things at `room`. `home` is freed with the last reference to it or
   to its bytes. */
enum { CACHE_BODY_PACKED_MAX = 4096, CACHE_BODY_ROOM = sizeof(struct cache_body) + sizeof(struct cache_block) };
bool cache_body_packs(const struct cache_body *);
struct cache_body *cache_body_pack(const struct cache_body *, char *bytes, void *room, void *home);

/* Bytes of all blocks there are: of what is kept, of what is on its way, and of what only its readers still hold. */
size_t cache_body_alive(void);

/* The longest run of bytes in memory from `at` on; empty when `at` is not held. */
struct slice cache_body_at(const struct cache_body *, uint64_t at);
/* Are those bytes in pages of their own? */
bool cache_body_paged(const struct cache_body *, uint64_t at);
bool cache_body_has(const struct cache_body *, uint64_t from, uint64_t n); /* all of [from, from + n)? */
static inline bool cache_body_complete(const struct cache_body *b)
{
    return b->held == b->length;
}
/* Forget the blocks before `at` (a body too large to keep, once every reader is past them). */
void cache_body_drop_before(struct cache_body *, uint64_t at);
/* The one hole of a partial body; false when there are several or none. */
bool cache_body_hole(const struct cache_body *, uint64_t *from, uint64_t *n);
