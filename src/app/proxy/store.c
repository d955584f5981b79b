/* SPDX-License-Identifier: MIT */
/* store.c -- the two tiers as the proxy sees them: look up, put in, invalidate. */
#include "app/proxy/internal.h"

#include <stdlib.h>

#include "base/stat.h"
#include "http/uri.h"
#include "rt/worker.h"

/* A hit among many objects waits for memory more than for anything else, first for the index, then for the object:
   others of the same turn begin meanwhile. What was found a moment ago is still there. */
static void fetch_ahead(struct job *j)
{
    if (j->here->recent[j->key.hash % RECENT] == j->key.hash)
        return;
    cache_memory_expect(j->p->memory, &j->key);
    fiber_give_way();
    cache_memory_ahead(j->p->memory, &j->key);
    fiber_give_way();
}

struct cache_object *store_find(struct job *j, bool *others, tick until)
{
    fetch_ahead(j);
    struct cache_object *o = cache_memory_find(j->p->memory, &j->key, &j->in->fields, others);
    if (o)
        j->here->recent[j->key.hash % RECENT] = j->key.hash;
    if (o || !j->p->disk || !cache_disk_may_have(j->p->disk, &j->key))
        return o;
    if (cache_disk_find(j->p->disk, &j->key, &j->in->fields, &o, until)) {
        fault_clear(); /* a disk that fails is a miss */
        return NULL;
    }
    if (o) {
        stat_add(STAT_CACHE_DISK_HITS, 1);
        cache_memory_put(j->p->memory, o);
        if (!cache_disk_current(j->p->disk, o)) { /* purged or replaced since: it is not to be found again */
            atomic_store(&o->invalid, true);
            cache_memory_remove(j->p->memory, o);
        }
    }
    return o;
}

/* ---- Into the disk tier, by a fiber of its own: nobody waits for it ---- */

struct disk_write {
    struct proxy_loop *here;
    struct cache_object *o;
    struct cache_disk_write write;
};

static void disk_run(void *arg)
{
    struct disk_write *w = arg;
    if (cache_disk_finish(&w->write, TICK_NEVER))
        fault_clear(); /* too much at once, or the disk is full: it stays in memory only */
    cache_object_unref(w->o);
    loop_leave(w->here);
    free(w);
}

static void disk_spawn(struct proxy *p, struct disk_write *w)
{
    w->here = &p->loops[worker_index()];
    if (!scope_spawn(loop_scope(loop_self()), "disk", disk_run, w)) {
        cache_object_ref(w->o);
        loop_enter(w->here);
        return;
    }
    fault_clear();
    cache_disk_abandon(&w->write);
    free(w);
}

/* The object can be found in memory, and has its place in the index of the disk: only now it is asked whether its
   flight was closed meanwhile. A purge closes first and looks then, so one of the two notices the other. */
static void disk_put(struct proxy *p, struct cache_flight *f, struct cache_object *o)
{
    struct disk_write *w = p->disk ? malloc(sizeof *w) : NULL;
    bool begun = w && !cache_disk_begin(p->disk, o, &w->write), outdated = flight_closed(f);
    if (outdated) {
        atomic_store(&o->invalid, true); /* for whoever has found it already */
        cache_memory_remove(p->memory, o);
    }
    if (begun && outdated)
        cache_disk_abandon(&w->write);
    if (!begun || outdated) {
        free(w);
        return;
    }
    w->o = o;
    disk_spawn(p, w);
}

void store_put(struct proxy *p, struct cache_flight *f, struct cache_object *o)
{
    if (flight_closed(f))
        return;
    if (cache_memory_put(p->memory, o))
        stat_add(STAT_CACHE_STORED, 1);
    disk_put(p, f, o);
}

void store_replace(struct proxy *p, struct cache_flight *f, struct cache_object *old, struct cache_object *fresh)
{
    if (flight_closed(f))
        return;
    if (!cache_memory_replace(p->memory, old, fresh))
        cache_memory_put(p->memory, fresh);
    disk_put(p, f, fresh);
}

void store_remove(struct proxy *p, struct cache_object *o)
{
    cache_memory_remove(p->memory, o);
    if (p->disk)
        cache_disk_purge(p->disk, &(struct cache_key){o->key, o->hash}, false);
}

/* What is on its way is closed first: it is then either not stored, or stored soon enough to be found here. */
int store_purge(struct proxy *p, const struct cache_key *key, bool soft)
{
    flights_close(p->flights, key);
    int n = cache_memory_purge(p->memory, key, soft), on_disk = 0;
    if (p->disk) {
        on_disk = cache_disk_purge(p->disk, key, soft);
        cache_memory_purge(p->memory, key, soft); /* what was on its way from the one to the other */
    }
    return n > on_disk ? n : on_disk;
}

err_t store_purge_prefix(struct proxy *p, struct slice prefix, bool soft, int *count, tick until)
{
    int on_disk = 0;
    flights_close_prefix(p->flights, prefix);
    *count = cache_memory_purge_prefix(p->memory, prefix, soft);
    if (!p->disk)
        return NULL;
    TRY(cache_disk_purge_prefix(p->disk, prefix, soft, &on_disk, until));
    cache_memory_purge_prefix(p->memory, prefix, soft);
    *count = *count > on_disk ? *count : on_disk;
    return NULL;
}

static void invalidate_key(struct job *j, const struct cache_key *key)
{
    stat_add(STAT_CACHE_INVALIDATED, store_purge(j->p, key, true));
    j->closings += flights_count_along(key, &j->key);
}

/* Location and Content-Location, when they name something of the same origin (RFC 9111 section 4.4). */
static void invalidate_named(struct job *j, struct slice reference)
{
    struct uri parsed, u;
    struct cache_key key;
    if (!reference.n || uri_parse(reference, &parsed) || uri_resolve(j->arena, &j->target, &parsed, &u)) {
        fault_clear();
        return;
    }
    if (slice_eq_case(u.host, j->target.host) && uri_port(&u) == uri_port(&j->target) &&
        slice_eq_case(u.scheme, j->target.scheme) && cache_key_make(&key, &u, j->target.scheme, j->arena))
        invalidate_key(j, &key);
}

void store_invalidate(struct job *j, const struct http_fields *response)
{
    struct cache_key key;
    if (!j->p->memory)
        return;
    if (cache_key_make(&key, &j->target, S("http"), j->arena))
        invalidate_key(j, &key);
    invalidate_named(j, fields_get(response, F_LOCATION));
    invalidate_named(j, fields_get(response, F_CONTENT_LOCATION));
}
