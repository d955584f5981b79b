/* SPDX-License-Identifier: MIT */
/*
 * internal.h -- what the files of the proxy share.
 *
 * A `struct job` is one request on its way: where it goes and what the cache knows about it. It belongs to the
 * exchange's fiber; a background validation has a job of its own, with copies and without an exchange.
 */
#pragma once

#include "app/proxy/head.h"
#include "app/proxy/proxy.h"
#include "cache/disk.h"
#include "cache/flight.h"
#include "cache/memory.h"
#include "cache/verdict.h"
#include "http/client.h"
#include "net/listen.h"
#include "net/pool.h"
#include "rt/loop.h"

struct origins;
struct origin;
struct fetch;
struct interim;

enum { RECENT = 256 };
struct proxy_loop { /* one a worker, used on its loop only */
    struct proxy *proxy;
    int index;
    struct pool *pool;     /* of both clients */
    struct client guarded; /* forward mode: addresses are judged before they are dialled */
    struct client direct;  /* to configured origins and the parent */
    struct client http1;   /* as the one of these two that is used, but never HTTP/2: the stream itself is wanted */
    struct scope service;  /* health checks, the control socket */
    struct fetch *spare;   /* fetch.c: those that have ended, for the next ones */
    unsigned spare_count;
    unsigned active; /* exchanges, fillers, checks: whoever may be using the clients */
    bool started, draining;
    uint64_t recent[RECENT]; /* store.c: hashes of keys that were found a moment ago */
};
enum { REFUSALS = 1024 };
struct refusal { /* why the last answer for a key was not stored; a newer key may take the place */
    _Atomic uint64_t hash;
    const char *_Atomic why;
};
struct proxy {
    struct proxy_options o;
    int workers;
    struct proxy_loop *loops;
    struct cache_memory *memory; /* NULL: no cache */
    struct cache_disk *disk;     /* NULL: no disk tier */
    struct flights *flights;
    struct origins *origins; /* NULL in forward mode */
    struct uri parent;
    struct client_proxy parent_proxy;
    struct buf auth;              /* contents of the auth file */
    struct arena arena;           /* what lives as long as this */
    _Atomic uint64_t marks[4096]; /* keys whose answers were not shareable a moment ago: see refusal.c */
    struct refusal refusals[REFUSALS];
    struct listen_point control;
};

enum route { ROUTE_FORWARD, ROUTE_ADDRESS, ROUTE_REVERSE };

struct job {
    struct proxy *p;
    struct proxy_loop *here;
    struct exchange *ex; /* NULL: background */
    const struct http_request *in;
    struct arena *arena;
    enum route route;
    struct uri target; /* scheme and host always set */
    bool secure;       /* https towards the origin */
    struct slice host; /* value of Host */
    bool upgrade;      /* the client asks for another protocol, which HTTP/2 cannot carry */
    struct fresh_request ask;
    struct cache_key key;
    unsigned closings; /* of flights of this key, by what the request itself invalidated */
    struct verdict verdict;
    /* 1xx responses on their way to the client */
    struct scope interims;
    bool interims_open, interims_running;
    struct interim *interims_waiting;
    /* a short request body as far as it was received, and how much of it the present attempt has sent */
    char *upload;
    size_t upload_n, upload_sent;
};

/* Do clients have to log in? As a gateway there is nobody to ask (RFC 9110 section 11.7.1). */
static inline bool proxy_logs_in(const struct proxy *p)
{
    return p->o.auth_file && !p->origins;
}

/* -- proxy.c -- */
void loop_enter(struct proxy_loop *);
void loop_leave(struct proxy_loop *);             /* the last one out after the drain closes what is idle */
err_t job_error(struct job *, err_t, tick until); /* the page for a failure */
err_t job_refuse(struct job *, uint16_t status, const char *why, tick until);
/* The verdict into the access log; and the line for the client, without its end. Empty past the arena's cap. */
struct slice job_note(struct job *);
static inline tick origin_until(const struct job *j)
{
    return after(j->p->o.origin_timeout / TICK_MS);
}

/* -- answer.c -- */
/* Answer from a stored, whole-or-partial object that may be used. */
err_t answer_stored(struct job *, struct cache_object *, tick until);
/* Can this (maybe partial) object give what the request wants? */
bool answer_covers(const struct job *, const struct cache_object *);
/* Head of a response that came from the origin or is read along: Cache-Status added, address form rewritten. */
err_t answer_head(struct job *, uint16_t status, struct slice reason, struct http_fields *, tick until);
/* Does the client's own If-None-Match or If-Modified-Since hold for this object (so that 304 is the answer)? */
bool answer_not_modified(const struct job *, const struct cache_object *);

/* -- fetch.c -- */
/* The origin must be asked: nothing stored (NULL) or something to validate. Takes over the reference of `stale`. */
err_t fetch_cached(struct job *, struct cache_object *stale, tick until);
err_t fetch_pass(struct job *, tick until); /* not for the cache: straight through */
void fetch_background(struct job *, struct cache_object *);
MUST err_t fetch_interims_wait(struct job *, tick until);
/* Before anything else is sent to the client: a 1xx may still be on its way. Why one was cut short, if it was. */
MUST static inline err_t fetch_interims_sent(struct job *j, tick until)
{
    return j->interims_open ? fetch_interims_wait(j, until) : NULL;
}
void fetch_free_spares(struct proxy_loop *);

/* -- refusal.c -- */
/* For some seconds nobody waits for what others ask of this key: its answers cannot be shared. */
void refusal_mark(struct job *);
bool refusal_marked(struct job *);
void refusal_note(struct job *, const char *why);                  /* of the last answer; NULL: it was stored */
const char *refusal_why(struct proxy *, const struct cache_key *); /* a sentence for `why`, or NULL */

/* -- store.c -- */
struct cache_object *store_find(struct job *, bool *others, tick until);
/* Not what comes of a flight that has been closed. */
void store_put(struct proxy *, struct cache_flight *, struct cache_object *);
void store_replace(struct proxy *, struct cache_flight *, struct cache_object *old, struct cache_object *fresh);
void store_remove(struct proxy *, struct cache_object *); /* on disk, every variant of its key */
/* Both tiers: `soft` marks for validation, hard removes. How many objects were hit. */
int store_purge(struct proxy *, const struct cache_key *, bool soft);
MUST err_t store_purge_prefix(struct proxy *, struct slice prefix, bool soft, int *count, tick until);
void store_invalidate(struct job *, const struct http_fields *response);

/* -- tunnel.c -- */
err_t tunnel_connect(struct job *, tick until);
err_t tunnel_upgrade(struct job *, struct call *, tick until);

/* -- address.c -- */
/* Is the path the address form? Fills the job's target. */
bool address_route(struct job *);
/* A relative link of a page in address form: where it really goes, or {NULL, 0}. */
struct slice address_referer(struct job *);
err_t address_rewrite(struct job *, struct http_fields *);

/* -- origin.c -- */
MUST err_t origins_new(struct proxy *, struct origins **);
void origins_free(struct origins *);
struct origin *origin_pick(struct origins *, unsigned attempt);
void origin_address(const struct origin *, struct client_request *); /* host, port, secure and key of the request */
void origin_failed(struct origin *);
void origin_well(struct origin *);
int origins_count(const struct origins *);
void origins_name(const struct origins *, struct uri *); /* host and port of the first: for requests that name none */
MUST err_t origins_start(struct proxy *, int index);

/* -- control.c -- */
MUST err_t control_start(struct proxy *);
