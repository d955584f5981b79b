/* SPDX-License-Identifier: MIT */
#include "app/heartbeat/senders_pool.h"

#include <string.h>

#include "app/heartbeat/sender_record.h"

void senders_pool_more(struct senders *t, int shard, uint32_t n)
{
    struct senders_shard *s = &t->shard[shard];
    pthread_mutex_lock(&t->pooling);
    if (s->round == t->round) {
        for (; n && s->pooled < s->fresh; n--) {
            const struct sender *r = store_at(&t->store, s->pooled++ * SENDERS_SHARDS + (uint32_t)shard);
            if (r->used)
                detector_pool_add(&t->pool[t->round % 3], &r->d);
        }
        if (s->pooled >= s->fresh) {
            s->pooled = 0;
            s->round++;
            t->rounded++;
        }
    }
    if (t->rounded == SENDERS_SHARDS) {
        t->rounded = 0;
        memset(&t->pool[(t->round + 1) % 3], 0, sizeof t->pool[0]);
        __atomic_store_n(&t->round, t->round + 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&t->pooling);
}

struct detector_aim senders_aim(const struct senders *t)
{
    uint32_t round = __atomic_load_n(&t->round, __ATOMIC_ACQUIRE);
    return (struct detector_aim){t->conf.rate, round ? &t->pool[(round - 1) % 3] : NULL};
}
