/* SPDX-License-Identifier: MIT */
#include "app/ping/clients.h"

#include <stdlib.h>

#include "base/random.h"

err_t clients_init(struct clients *c)
{
    *c = (struct clients){.sets = calloc((size_t)CLIENTS_SETS * CLIENTS_WAYS, sizeof *c->sets), .seed = random_u64()};
    return c->sets ? NULL : E_NO_MEMORY;
}

void clients_done(struct clients *c)
{
    free(c->sets);
    c->sets = NULL;
}

struct client *clients_get(struct clients *c, uint64_t key, tick now, tick memory)
{
    struct client *set = &c->sets[key % CLIENTS_SETS * CLIENTS_WAYS], *oldest = set;
    for (int i = 0; i < CLIENTS_WAYS; i++) {
        if (set[i].key == key && set[i].seen && now - set[i].seen <= memory) {
            set[i].seen = now;
            return &set[i];
        }
        if (set[i].seen < oldest->seen)
            oldest = &set[i];
        if (set[i].key == key) { /* silent too long: its own entry is the one to start anew */
            oldest = &set[i];
            break;
        }
    }
    *oldest = (struct client){.key = key, .seen = now};
    return oldest;
}

uint64_t clients_key(const struct clients *c, const struct addr *a, bool with_port)
{
    uint64_t key = addr_hash_host(a, c->seed);
    return with_port ? key ^ (uint64_t)addr_port(a) * 0x9e3779b97f4a7c15u : key;
}

bool clients_loops(struct client *client, uint32_t what)
{
    if (client->repeat.what != what)
        client->repeat.what = what, client->repeat.times = 0;
    if (++client->repeat.times < CLIENTS_REPEATS)
        return false;
    client->repeat.times = 0;
    return true;
}
