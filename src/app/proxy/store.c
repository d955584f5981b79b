/* SPDX-License-Identifier: MIT */
/* store.c -- the two tiers as the proxy sees them: look up, put in, invalidate. */
#include "app/proxy/internal.h"

#include "base/stat.h"
#include "http/uri.h"

struct cache_object *store_find(struct job *j, bool *others)
{
    return cache_memory_find(j->p->memory, &j->key, &j->in->fields, others);
}

void store_put(struct proxy *p, struct cache_object *o)
{
    if (cache_memory_put(p->memory, o))
        stat_add(STAT_CACHE_STORED, 1);
}

static void invalidate_key(struct proxy *p, const struct cache_key *key)
{
    stat_add(STAT_CACHE_INVALIDATED, cache_memory_purge(p->memory, key, true));
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
        invalidate_key(j->p, &key);
}

void store_invalidate(struct job *j, const struct http_fields *response)
{
    struct cache_key key;
    if (!j->p->memory)
        return;
    if (cache_key_make(&key, &j->target, S("http"), j->arena))
        invalidate_key(j->p, &key);
    invalidate_named(j, fields_get(response, F_LOCATION));
    invalidate_named(j, fields_get(response, F_CONTENT_LOCATION));
}
