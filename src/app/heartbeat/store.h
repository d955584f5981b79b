/* SPDX-License-Identifier: MIT */
/*
 * store.h -- where the senders' records live: an array that grows by chunks and never moves.
 *
 * Without a path it is anonymous memory. With one (--state FILE) it is that file, mapped: the kernel keeps what was
 * written even when the process is killed, so nothing has to be saved and a restart finds every record. One process
 * at a time may hold the file. The header notes the record's size, so a file of another version is refused.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"

enum { STORE_CHUNK = 4096, STORE_CHUNKS_MAX = 1024 }; /* records a chunk; chunks */

struct store {
    int fd; /* -1: anonymous */
    uint32_t record, chunks;
    bool found;    /* the file held records already */
    bool rebooted; /* and they are from before the machine started anew */
    int64_t pause; /* ns of wall time since the last store_mark; only with `found` */
    uint64_t seed; /* for the index: random, kept with the file, so that records stay in their shards */
    struct store_head *head;
    char *chunk[STORE_CHUNKS_MAX];
};

/* `path` NULL: anonymous. E_LOCKED when another process has it, E_CONFIG when it is not such a file. */
MUST err_t store_open(struct store *, const char *path, uint32_t record, int64_t wall);
MUST err_t store_grow(struct store *);         /* one more chunk, zeroed; E_LIMIT, E_NO_MEMORY, E_NO_SPACE */
void store_mark(struct store *, int64_t wall); /* now and then: until when the records are known to be current */
void store_close(struct store *);

static inline void *store_at(const struct store *s, uint32_t slot)
{
    return s->chunk[slot / STORE_CHUNK] + (size_t)(slot % STORE_CHUNK) * s->record;
}
static inline uint32_t store_slots(const struct store *s)
{
    return s->chunks * STORE_CHUNK;
}
