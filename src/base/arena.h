/* SPDX-License-Identifier: MIT */
/*
 * arena.h -- memory that dies together.
 *
 * An exchange takes what it needs from its arena and gives it all back with one reset. Chunks of 4 KiB are
 * recycled through a small cache of the thread, so a request that needs one chunk costs no malloc. Larger
 * wishes get a chunk of their own. Nothing here is freed one by one, and nothing outlives the reset.
 */
#pragma once

#include "base/err.h"

struct arena_chunk;
struct arena {
    struct arena_chunk *chunks;
    char *at, *end;
    size_t used; /* bytes of all chunks */
    size_t cap;  /* refuses to pass this; 0 means ARENA_MAX */
};

enum { ARENA_MAX = 1 << 20, ARENA_CHUNK = 4096 };

void *arena_more(struct arena *, size_t size); /* out of a chunk of its own or a new one: for arena_new */
/* Not zeroed; NULL only past its cap. */
static inline void *arena_new(struct arena *a, size_t size, size_t align)
{
    char *at = (char *)(((uintptr_t)a->at + align - 1) & ~(uintptr_t)(align - 1));
    if (!a->at || at > a->end || size > (size_t)(a->end - at))
        return arena_more(a, size);
    a->at = at + size;
    return at;
}
#define ARENA_NEW(arena, type)          ((type *)arena_new((arena), sizeof(type), _Alignof(type)))
#define ARENA_ARRAY(arena, type, count) ((type *)arena_new((arena), sizeof(type) * (count), _Alignof(type)))

/* Copies end in a NUL that is not counted. p is NULL only past the cap. */
struct slice arena_copy(struct arena *, struct slice);
/* The pieces one behind the other, zero-terminated. */
struct slice arena_join(struct arena *, const struct slice *, size_t n);
struct slice arena_format(struct arena *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void arena_reset(struct arena *);
/* The same, but a chunk of the usual size stays, for more of the kind: until arena_reset. */
void arena_rewind(struct arena *);
void arena_thread_done(void); /* frees this thread's spare chunks; called when a loop ends */
