/* SPDX-License-Identifier: MIT */
/*
 * fetch.h -- one question to an origin, shared by fetch.c (who asks), relay.c (straight through), fill.c (into the
 * cache) and along.c (out of it while it comes). A fetch is one allocation, because the filler outlives the exchange
 * that started it.
 */
#pragma once

#include "app/proxy/internal.h"

enum { FETCH_CANDIDATES = 8 };

struct fetch {
    struct fetch *next; /* while it is spare */
    struct job *job;    /* who asks; NULL once the filler has taken over */
    struct proxy *p;
    struct proxy_loop *here;
    struct http_fields fields;       /* of the request, in the job's arena */
    int64_t request_ns, response_ns; /* wall clock */
    struct fresh_info info;
    struct cache_flight *flight;
    unsigned since;               /* closings of the key before the origin was asked */
    struct cache_object *object;  /* being filled */
    struct cache_object *partner; /* a stored partial of the same representation, or NULL */
    struct slice vary; /* what the response's variant is known by, in the job's arena: from fill_refused on */
    uint64_t at;       /* where the next byte belongs */
    uint64_t end;      /* one past the last byte expected, or CACHE_LENGTH_UNKNOWN */
    bool short_end;    /* as in the object */
    bool open;         /* client_open has been called */
    /* -- not cleared for the next one: each is made before it is read -- */
    struct fresh_rules rules;
    struct client_request request;
    struct call call;
};

/* What the cache adds to the request: conditions, or a range that is missing. */
struct fetch_terms {
    struct cache_object *v[FETCH_CANDIDATES]; /* stored responses to validate; not owned */
    int n;
    bool complete; /* v[0] is partial: ask for the bytes it lacks, from `hole` on */
    uint64_t hole, hole_n;
    bool plain; /* none of the client's own conditions either */
};

struct fetch *fetch_new(struct job *);
void fetch_free(struct fetch *); /* on the loop that made it */
/* Send the request and wait for the head. */
MUST err_t fetch_ask(struct fetch *, const struct fetch_terms *, tick until);

/* relay.c: the response goes to the client as it comes. */
MUST err_t relay(struct job *, struct fetch *, tick until);
/* Those of a trailer section that may be passed on (RFC 9110 section 6.5.1), added to `out`; `head` is the header
   section of the same message. */
MUST err_t relay_trailers(struct job *, const struct http_fields *, const struct http_fields *head,
                          struct http_fields *out);
/* Fields of the response as the client gets them; they may lie in the response's own array, ours behind its. */
MUST err_t relay_fields(struct job *, struct fetch *, struct http_fields *);

/* fill.c */
/* Can and may this response be stored? NULL, or why not. */
const char *fill_refused(struct job *, struct fetch *);
/* Is this 206 exactly the missing part of `partial`? */
bool fill_fits(const struct fetch *, const struct cache_object *partial, uint64_t hole, uint64_t n);
/* Make the object, publish it to the flight, start the filler, and read along for the job's client. Takes the fetch
   over in any case. */
MUST err_t fill_and_read(struct job *, struct fetch *, tick until);
/* A 304 (or a 200 to HEAD) updates `old`: the new object with a reference; NULL when out of memory. `*kept`: it is in
   the index now. Otherwise it may not be kept, or nobody could tell whom it is for: `old` has gone, and the answer is
   for the one who asked. */
struct cache_object *fill_updated(struct job *, struct fetch *, struct cache_object *old, bool *kept);

/* along.c */
/* Before the head: the filler may have the body in the same turn, then they leave together; or its end that came too
   soon, which can still be told. E_TRUNCATED. */
MUST err_t along_first(struct cache_flight *, struct flight_reader *);
/* Body and end, as they come. E_TRUNCATED. */
MUST err_t along_read(struct job *, struct cache_flight *, struct flight_reader *, tick until);
/* Answer from a flight that somebody else fills. */
MUST err_t along_follow(struct job *, struct cache_flight *, tick until);
