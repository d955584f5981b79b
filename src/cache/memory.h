/* SPDX-License-Identifier: MIT */
/*
 * memory.h -- the memory tier: an index of stored responses and the policy of what to keep.
 *
 * Shared by all loops. The index is cut into shards, each behind a mutex that is held for a look-up only. Eviction
 * is S3-FIFO (Yang et al., SOSP 2023) by bytes: a new object enters a small queue that has a twentieth of the room;
 * what was asked for again there moves to the main queue, the rest leaves and is remembered as a ghost; a ghost that
 * comes back enters the main queue at once. So a scan passes through the small queue and displaces nothing. A hit
 * only raises a small count in the object: no list is touched, no queue lock taken.
 *
 * Admission: an object larger than a share of the whole (CACHE_OBJECT_SHARE) is not kept in memory.
 */
#pragma once

#include "cache/object.h"

enum { CACHE_OBJECT_SHARE = 8 };

struct cache_memory;

struct cache_memory_hooks {
    /* An object that was asked for at least once leaves for want of room: a chance for the disk tier. Called with
       no lock held and a reference that is the callee's to keep for the call only. NULL: nothing. */
    void (*evicted)(void *arg, struct cache_object *);
    void *arg;
};

MUST err_t cache_memory_new(uint64_t capacity, const struct cache_memory_hooks *, struct cache_memory **);
void cache_memory_free(struct cache_memory *); /* NULL is accepted */

/* Somebody is about to look for this key. First `expect`, which has its place in the index fetched into the processor's
   cache, then `ahead`, which has the object fetched; each is worth its while when something else is done behind it. */
void cache_memory_expect(struct cache_memory *, const struct cache_key *);
void cache_memory_ahead(struct cache_memory *, const struct cache_key *);
/* The stored response for this key that the request selects (RFC 9111 section 4.1), the most recent one of several
   by Date. A reference, or NULL. `*others` says whether any other variant of the key is stored. */
struct cache_object *cache_memory_find(struct cache_memory *, const struct cache_key *, const struct http_fields *,
                                       bool *others);
/* All variants of a key, up to `max`, each with a reference; returns how many. */
int cache_memory_variants(struct cache_memory *, const struct cache_key *, struct cache_object **, int max);
/* Put an object in; what it replaces (same key, same Vary text) goes out. The memory takes a reference of its own.
   False when it was not admitted. */
bool cache_memory_put(struct cache_memory *, struct cache_object *);
/* Take `old` out and put `fresh` in its place with its standing in the queues. False when `old` was gone. */
bool cache_memory_replace(struct cache_memory *, struct cache_object *old, struct cache_object *fresh);
void cache_memory_remove(struct cache_memory *, struct cache_object *);

/* Purge: `soft` marks for validation, hard removes. By key, or by every key that starts with `prefix`. Returns how
   many objects were hit. */
int cache_memory_purge(struct cache_memory *, const struct cache_key *, bool soft);
int cache_memory_purge_prefix(struct cache_memory *, struct slice prefix, bool soft);

struct cache_memory_stats {
    uint64_t bytes, capacity, objects, evictions;
};
void cache_memory_stats(struct cache_memory *, struct cache_memory_stats *);
