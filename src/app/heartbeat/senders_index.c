/* SPDX-License-Identifier: MIT */
#include "app/heartbeat/senders_index.h"

#include <stdlib.h>

enum { INDEX_FIRST = 64, ENTRY_SLOT_BITS = 23 };

/* ---- Slots: the k-th of shard s is k * SENDERS_SHARDS + s, so a slot tells its shard ---- */

bool senders_index_take(struct senders *t, int shard, uint32_t *slot)
{
    struct senders_shard *s = &t->shard[shard];
    if (s->free) {
        *slot = s->free - 1;
        s->free = senders_at(t, *slot)->next;
        return true;
    }
    uint32_t want = s->fresh * SENDERS_SHARDS + (uint32_t)shard;
    if (want >= t->conf.max)
        return false;
    pthread_mutex_lock(&t->grow);
    err_t e = NULL;
    while (!e && want >= store_slots(&t->store))
        e = store_grow(&t->store);
    pthread_mutex_unlock(&t->grow);
    if (e)
        return false;
    __atomic_store_n(&s->fresh, s->fresh + 1, __ATOMIC_RELAXED); /* senders_slots reads it without the lock */
    *slot = want;
    return true;
}

/* ---- Index ---- */

uint64_t senders_index_hash(const struct senders *t, const struct sender_name *n)
{
    if (n->text)
        return slice_hash(slice_of(n->host, sizeof n->host), t->seed ^ n->port);
    return slice_hash(n->id, t->seed);
}

int senders_index_shard(uint64_t hash)
{
    return (int)(hash >> 60);
}
_Static_assert(SENDERS_SHARDS == 16, "the shard is the top four bits of the hash");

/* An entry is slot + 1 with nine bits of the hash above it: a record, which is far away, is looked at only when they
   fit. */
static uint32_t entry_of(uint64_t hash, uint32_t slot)
{
    return (uint32_t)(hash >> 48 & 0x1ff) << ENTRY_SLOT_BITS | (slot + 1);
}

static uint32_t entry_slot(uint32_t entry)
{
    return (entry & ((1u << ENTRY_SLOT_BITS) - 1)) - 1;
}
_Static_assert(STORE_CHUNK *STORE_CHUNKS_MAX < 1 << ENTRY_SLOT_BITS, "a slot fits its bits");

void senders_index_put(struct senders_shard *s, uint64_t hash, uint32_t slot)
{
    uint32_t i = (uint32_t)hash & (s->size - 1);
    while (s->index[i])
        i = (i + 1) & (s->size - 1);
    s->index[i] = entry_of(hash, slot);
}

bool senders_index_room(struct senders *t, struct senders_shard *s)
{
    if ((s->count + 1) * 4 <= s->size * 3)
        return true;
    uint32_t *old = s->index, n = s->size, size = n ? n * 2 : INDEX_FIRST;
    uint32_t *bigger = calloc(size, sizeof *bigger);
    if (!bigger)
        return false;
    s->index = bigger, s->size = size;
    for (uint32_t i = 0; i < n; i++)
        if (old[i]) {
            struct sender_name name;
            sender_name(senders_at(t, entry_slot(old[i])), &name);
            senders_index_put(s, senders_index_hash(t, &name), entry_slot(old[i]));
        }
    free(old);
    return true;
}

struct sender *senders_index_find(const struct senders *t, const struct senders_shard *s, uint64_t hash,
                                  const struct sender_name *n, uint32_t *place)
{
    for (uint32_t i = (uint32_t)hash & (s->size - 1); s->size && s->index[i]; i = (i + 1) & (s->size - 1)) {
        uint32_t slot = entry_slot(s->index[i]);
        if (s->index[i] == entry_of(hash, slot) && sender_is(senders_at(t, slot), n)) {
            *place = i;
            return senders_at(t, slot);
        }
    }
    return NULL;
}

uint32_t senders_index_slot(const struct senders_shard *s, uint32_t place)
{
    return entry_slot(s->index[place]);
}

/* Close the gap that a removed entry leaves (Knuth, algorithm 6.4 R). */
void senders_index_remove(struct senders *t, struct senders_shard *s, uint32_t i)
{
    uint32_t mask = s->size - 1;
    for (uint32_t j = (i + 1) & mask; s->index[j]; j = (j + 1) & mask) {
        struct sender_name name;
        sender_name(senders_at(t, entry_slot(s->index[j])), &name);
        uint32_t home = (uint32_t)senders_index_hash(t, &name) & mask;
        if (((j - home) & mask) < ((j - i) & mask))
            continue;
        s->index[i] = s->index[j];
        i = j;
    }
    s->index[i] = 0;
}
