/* SPDX-License-Identifier: MIT */
#include "base/table.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/random.h"

err_t table_init(struct table *t, size_t expected)
{
    size_t size = 16;
    while (size < expected)
        size *= 2;
    struct table_link **buckets = calloc(size, sizeof *buckets);
    if (!buckets)
        return E_NO_MEMORY;
    *t = (struct table){buckets, 0, size, random_u64()};
    return NULL;
}

void table_done(struct table *t)
{
    free(t->buckets);
    *t = (struct table){0};
}

/* Failing to grow only makes chains longer, so it is no error. */
static void grow(struct table *t)
{
    size_t size = t->size * 2;
    struct table_link **buckets = calloc(size, sizeof *buckets);
    if (!buckets)
        return;
    for (size_t i = 0; i < t->size; i++)
        for (struct table_link *l = t->buckets[i], *next; l; l = next) {
            next = l->next;
            l->next = buckets[l->hash & (size - 1)];
            buckets[l->hash & (size - 1)] = l;
        }
    free(t->buckets);
    t->buckets = buckets;
    t->size = size;
}

void table_add(struct table *t, struct table_link *l, uint64_t hash)
{
    if (t->count >= t->size)
        grow(t);
    struct table_link **head = &t->buckets[hash & (t->size - 1)];
    l->hash = hash;
    l->next = *head;
    *head = l;
    t->count++;
}

void table_remove(struct table *t, struct table_link *l)
{
    struct table_link **at = &t->buckets[l->hash & (t->size - 1)];
    while (*at != l) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = l->next;
    l->next = NULL;
    t->count--;
}

static struct table_link *matching(struct table_link *l, uint64_t hash)
{
    while (l && l->hash != hash)
        l = l->next;
    return l;
}

struct table_link *table_first(const struct table *t, uint64_t hash)
{
    return t->size ? matching(t->buckets[hash & (t->size - 1)], hash) : NULL;
}

struct table_link *table_next(const struct table_link *l, uint64_t hash)
{
    return matching(l->next, hash);
}

void table_each(struct table *t, void (*fn)(struct table_link *, void *arg), void *arg)
{
    for (size_t i = 0; i < t->size; i++)
        for (struct table_link *l = t->buckets[i], *next; l; l = next) {
            next = l->next;
            fn(l, arg);
        }
}
