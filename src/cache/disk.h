/* SPDX-License-Identifier: MIT */
/*
 * disk.h -- the disk tier: one file an object, an index in memory.
 *
 * A file is written under a temporary name and renamed when it is whole, so what has its final name is whole unless
 * the disk lies; the head and every body carry a checksum all the same, and a file that fails it is removed and counts
 * as a miss. Nothing is synced: a kill -9 loses nothing that was renamed, a power cut loses what the system had not
 * written, and the checksums find it. The index holds name and size of every file; it is rebuilt at start from the
 * folder's listing, without opening a file. Eviction is first in, first out with a second chance, by allocated bytes;
 * victims are removed before the new file is written, so that the limit is passed by no more than what is being
 * written.
 *
 *     DIR/00 ... DIR/ff/KEYHASH-VARYHASH     the objects; one that its owner may not write to (mode 0400) is stale:
 *                                            invalidated or softly purged, and to be validated before it is used
 *     DIR/new/                               files being written; emptied at start
 *
 * Functions that take `until` do their work in offload() and suspend the calling fiber; the others only use the index.
 */
#pragma once

#include "base/clock.h"
#include "cache/object.h"

struct cache_disk;

/* Creates the folders. E_NOT_FOUND, E_PERMISSION, E_IO. `limit` in bytes. */
MUST err_t cache_disk_new(const char *dir, uint64_t limit, struct cache_disk **);
void cache_disk_free(struct cache_disk *);
/* Read the folder into the index; look-ups before that simply miss. */
MUST err_t cache_disk_load(struct cache_disk *, tick until);

/* Is there anything for this key? Cheap; no disk. */
bool cache_disk_may_have(struct cache_disk *, const struct cache_key *);
/* The stored response that the request selects, read and verified, or NULL in `*out`. One that is marked as stale
   comes with its `invalid` set. */
MUST err_t cache_disk_find(struct cache_disk *, const struct cache_key *, const struct http_fields *request,
                           struct cache_object **out, tick until);
/* Write a whole object; replaces the file of the same key and Vary text. From `begin` on it has its place in the index:
   it cannot be found yet, but a purge meets it. Then `finish`, or `abandon`; until then the caller keeps the object.
   begin: E_LIMIT when it is too large, partial or invalid, or when too much is being written. finish: E_LIMIT, E_IO. */
struct cache_disk_write {
    struct cache_disk *d;
    struct cache_object *o;
    struct list link;
    uint64_t key_name, vary_name, ticket, charged;
    bool ended;
};
MUST err_t cache_disk_begin(struct cache_disk *, struct cache_object *, struct cache_disk_write *);
MUST err_t cache_disk_finish(struct cache_disk_write *, tick until);
void cache_disk_abandon(struct cache_disk_write *);
/* Is what was found still what is there, with the same mark? To be asked once it can be found elsewhere. */
bool cache_disk_current(struct cache_disk *, const struct cache_object *);
/* Each stored variant of the key, read and verified; the object is the callee's for the call only. */
MUST err_t cache_disk_each(struct cache_disk *, const struct cache_key *, void (*)(void *arg, struct cache_object *),
                           void *arg, tick until);

/* Purge every variant of the key, at once: `soft` marks for validation, hard removes. Returns how many; one that was
   marked already does not count. */
int cache_disk_purge(struct cache_disk *, const struct cache_key *, bool soft);
/* The same with every key that starts with `prefix`: opens all files. `*count` says how many were hit. */
MUST err_t cache_disk_purge_prefix(struct cache_disk *, struct slice prefix, bool soft, int *count, tick until);

struct cache_disk_stats {
    uint64_t bytes, limit, objects;
};
void cache_disk_stats(struct cache_disk *, struct cache_disk_stats *);
