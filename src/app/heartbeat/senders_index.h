/* SPDX-License-Identifier: MIT */
/*
 * senders_index.h -- where a sender's record is: slots of the store, and each shard's index of them by name. Only
 * senders.c uses it, with the shard's lock held.
 */
#pragma once

#include "app/heartbeat/sender_record.h"
#include "app/heartbeat/senders.h"

static inline struct sender *senders_at(const struct senders *t, uint32_t slot)
{
    return store_at(&t->store, slot);
}

uint64_t senders_index_hash(const struct senders *, const struct sender_name *);
int senders_index_shard(uint64_t hash);

/* A slot of the shard that nobody has; false: there is no room for another sender. */
bool senders_index_take(struct senders *, int shard, uint32_t *slot);
bool senders_index_room(struct senders *, struct senders_shard *); /* before each _put; false: out of memory */
void senders_index_put(struct senders_shard *, uint64_t hash, uint32_t slot);
/* NULL: not known. `*place` is valid until the index changes. */
struct sender *senders_index_find(const struct senders *, const struct senders_shard *, uint64_t hash,
                                  const struct sender_name *, uint32_t *place);
uint32_t senders_index_slot(const struct senders_shard *, uint32_t place);
void senders_index_remove(struct senders *, struct senders_shard *, uint32_t place);
