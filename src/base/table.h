/* SPDX-License-Identifier: MIT */
/*
 * table.h -- an intrusive hash table with chains.
 *
 * The caller owns the entries and embeds a table_link; the table owns only its bucket array, which doubles as
 * it fills. The caller hashes (slice_hash with table->seed, so that collisions cannot be crafted) and compares:
 *
 *     for (struct table_link *l = table_first(&t, hash); l; l = table_next(l, hash))
 *         if (slice_eq(LIST_ENTRY(l, struct host, link)->name, name)) ...
 */
#pragma once

#include "base/err.h"

struct table_link {
    struct table_link *next;
    uint64_t hash;
};
struct table {
    struct table_link **buckets;
    size_t count, size; /* entries; buckets, a power of two */
    uint64_t seed;
};

MUST err_t table_init(struct table *, size_t expected); /* E_NO_MEMORY */
void table_done(struct table *);                        /* frees the buckets, not the entries */
void table_add(struct table *, struct table_link *, uint64_t hash);
void table_remove(struct table *, struct table_link *); /* must be in the table */
struct table_link *table_first(const struct table *, uint64_t hash);
struct table_link *table_next(const struct table_link *, uint64_t hash);

/* Walk over all entries; `fn` may remove the entry it is given, and no other. */
void table_each(struct table *, void (*fn)(struct table_link *, void *arg), void *arg);
