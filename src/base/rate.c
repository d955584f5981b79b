/* SPDX-License-Identifier: MIT */
#include "base/rate.h"

#include <stdlib.h>

#include "base/random.h"

err_t rate_init(struct rate *r, uint64_t per_second)
{
    *r = (struct rate){.seed = random_u64()};
    if (!per_second)
        return NULL;
    r->each = per_second < (uint64_t)TICK_S ? TICK_S / (tick)per_second : 1;
    r->clients = calloc(RATE_CLIENTS, sizeof *r->clients);
    return r->clients ? NULL : E_NO_MEMORY;
}

/* The client's bucket, or the place of the neighbour that was idle longest. */
static struct rate_client *find(struct rate *r, uint64_t key)
{
    struct rate_client *set = &r->clients[key % (RATE_CLIENTS / RATE_WAYS) * RATE_WAYS], *oldest = set;
    for (int i = 0; i < RATE_WAYS; i++) {
        if (set[i].key == key)
            return &set[i];
        if (set[i].full_at < oldest->full_at)
            oldest = &set[i];
    }
    *oldest = (struct rate_client){.key = key};
    return oldest;
}

bool rate_allow(struct rate *r, const struct addr *client, tick now)
{
    if (!r->each)
        return true;
    struct rate_client *c = find(r, addr_hash_host(client, r->seed) | 1);
    tick from = c->full_at > now ? c->full_at : now;
    if (from + r->each > now + TICK_S)
        return false;
    c->full_at = from + r->each;
    return true;
}

void rate_done(struct rate *r)
{
    free(r->clients);
    *r = (struct rate){0};
}
