/* SPDX-License-Identifier: MIT */
#include "http/clients.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/list.h"
#include "base/random.h"
#include "base/table.h"

struct client {
    struct table_link link;
    uint8_t key[16];
    uint64_t open;
};
struct clients {
    pthread_mutex_t lock;
    struct table table;
};

static void key_of(const struct addr *a, uint8_t key[16])
{
    memset(key, 0, 16);
    if (a->sa.sa_family == AF_INET) {
        key[10] = key[11] = 0xff;
        memcpy(key + 12, &a->v4.sin_addr, 4);
    } else if (a->sa.sa_family == AF_INET6) {
        bool mapped = IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr);
        memcpy(key, &a->v6.sin6_addr, mapped ? 16 : 8);
    }
}

err_t clients_new(struct clients **out)
{
    struct clients *c = calloc(1, sizeof *c);
    if (!c)
        return E_NO_MEMORY;
    err_t e = table_init(&c->table, 64);
    if (e) {
        free(c);
        return e;
    }
    c->table.seed = random_u64();
    pthread_mutex_init(&c->lock, NULL);
    *out = c;
    return NULL;
}

static struct client *find(struct clients *c, const uint8_t key[16], uint64_t hash)
{
    for (struct table_link *l = table_first(&c->table, hash); l; l = table_next(l, hash)) {
        struct client *k = LIST_ENTRY(l, struct client, link);
        if (memcmp(k->key, key, 16) == 0)
            return k;
    }
    return NULL;
}

bool clients_enter(struct clients *c, const struct addr *a, uint64_t limit)
{
    uint8_t key[16];
    key_of(a, key);
    uint64_t hash = slice_hash(slice_of(key, 16), c->table.seed);
    pthread_mutex_lock(&c->lock);
    struct client *k = find(c, key, hash);
    if (!k && (k = calloc(1, sizeof *k))) {
        memcpy(k->key, key, 16);
        table_add(&c->table, &k->link, hash);
    }
    bool room = k && k->open < limit;
    if (room)
        k->open++;
    pthread_mutex_unlock(&c->lock);
    return room;
}

void clients_leave(struct clients *c, const struct addr *a)
{
    uint8_t key[16];
    key_of(a, key);
    uint64_t hash = slice_hash(slice_of(key, 16), c->table.seed);
    pthread_mutex_lock(&c->lock);
    struct client *k = find(c, key, hash);
    CHECK(k && k->open);
    if (--k->open == 0) {
        table_remove(&c->table, &k->link);
        free(k);
    }
    pthread_mutex_unlock(&c->lock);
}

size_t clients_count(struct clients *c)
{
    pthread_mutex_lock(&c->lock);
    size_t n = c->table.count;
    pthread_mutex_unlock(&c->lock);
    return n;
}

static void free_client(struct table_link *l, void *arg)
{
    table_remove(arg, l);
    free(LIST_ENTRY(l, struct client, link));
}

void clients_free(struct clients *c)
{
    if (!c)
        return;
    table_each(&c->table, free_client, &c->table);
    table_done(&c->table);
    pthread_mutex_destroy(&c->lock);
    free(c);
}
