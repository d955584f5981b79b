/* SPDX-License-Identifier: MIT */
/* refusal.c -- what is remembered of keys whose answers are not stored: that nobody should wait for them, and why. */
#include "app/proxy/internal.h"

enum { MARK_SECONDS = 10 }; /* how long a key whose answer could not be shared is fetched without waiting */

/* ---- Keys that are not worth waiting for: a lossy table of hash and time (varnish's hit-for-miss) ---- */

static _Atomic uint64_t *mark_slot(struct job *j)
{
    return &j->p->marks[j->key.hash % (sizeof j->p->marks / sizeof j->p->marks[0])];
}

static uint64_t mark_value(const struct job *j, int64_t second)
{
    return (j->key.hash & ~UINT64_C(0xffffffff)) | (uint64_t)(uint32_t)second;
}

void refusal_mark(struct job *j)
{
    atomic_store_explicit(mark_slot(j), mark_value(j, now() / TICK_S + MARK_SECONDS), memory_order_relaxed);
}

bool refusal_marked(struct job *j)
{
    uint64_t v = atomic_load_explicit(mark_slot(j), memory_order_relaxed);
    return (v >> 32) == (j->key.hash >> 32) && (uint32_t)v > (uint32_t)(now() / TICK_S);
}

/* ---- Why something is not there, for those who ask ---- */

static struct refusal *slot_of(struct proxy *p, const struct cache_key *key)
{
    return &p->refusals[key->hash % REFUSALS];
}

void refusal_note(struct job *j, const char *why)
{
    struct refusal *r = slot_of(j->p, &j->key);
    if (atomic_load_explicit(&r->hash, memory_order_relaxed) == j->key.hash &&
        atomic_load_explicit(&r->why, memory_order_relaxed) == why)
        return; /* as before: no cache line moves */
    atomic_store(&r->hash, 0);
    atomic_store(&r->why, why);
    atomic_store(&r->hash, why ? j->key.hash : 0);
}

const char *refusal_why(struct proxy *p, const struct cache_key *key)
{
    struct refusal *r = slot_of(p, key);
    const char *why = atomic_load(&r->hash) == key->hash ? atomic_load(&r->why) : NULL;
    return atomic_load(&r->hash) == key->hash ? why : NULL;
}
