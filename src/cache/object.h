/* SPDX-License-Identifier: MIT */
/*
 * object.h -- one stored response.
 *
 * Immutable once it is in an index, but for two atomic marks; counted by reference, so that a reader keeps what
 * it is sending while the index has moved on. Its fields are stored as they will be sent: `start` is the finished
 * head without Age, Cache-Status and the empty line, `head` the field lines of it, and `fields` points into those. One
 * allocation holds everything, a small body included (cache_body_pack); what a hit looks at and sends stands together
 * in it.
 */
#pragma once

#include "base/list.h"
#include "cache/body.h"
#include "cache/key.h"
#include "http/fresh.h"

struct cache_object {
    /* -- not looked at for a hit -- */
    struct slice head; /* "Name: value\r\n" ... ; Content-Length among them when the body's length is known */
    struct slice etag; /* {NULL, 0} without */
    uint64_t hash;
    size_t own, memory; /* bytes: without the body, and of all of it, as accounted */
    struct list queue;
    uint64_t ticket; /* the disk tier's: of the file that it was read from */
    /* -- looked at -- */
    uint32_t magic;
    atomic_uint refs;
    atomic_uint hits;         /* capped small count, for the eviction policy */
    atomic_bool invalid;      /* invalidated or softly purged: validate before use */
    atomic_bool revalidating; /* one background validation at a time */
    bool partial;             /* the body has holes or an end that was not seen */
    bool short_end;           /* partial, and ends sooner than its origin says: the whole length is unknown */
    bool packed;              /* the body stands in this allocation, which goes with it */
    bool in_main, indexed;    /* owned by the index (memory.c), as is `queue` */
    struct slice key, vary;
    struct slice start; /* "HTTP/1.1 200 OK\r\n", then `head` */
    struct slice whole; /* the body, when it is complete and in one piece; else empty */
    struct cache_body *body;
    struct fresh_info info;
    struct http_fields fields;
    char text[]; /* key, vary, start and a small body, then the array of the fields and the body's own things */
};

struct cache_object_make {
    struct fresh_info info;
    struct cache_key key;
    struct slice vary;
    const struct http_fields *fields; /* hop-by-hop ones left out by the caller */
    struct cache_body *body;          /* a reference is taken */
};
/* Content-Length is added when the body is complete and has none; Date when there is none (RFC 9110 section
   6.6.1). NULL when out of memory. */
struct cache_object *cache_object_new(const struct cache_object_make *);
/* The body has got all that it will: `partial`, `whole` and `memory` as it is now. Before the object is in an index. */
void cache_object_settle(struct cache_object *);
struct cache_object *cache_object_ref(struct cache_object *);
void cache_object_unref(struct cache_object *); /* NULL is accepted */

/* The info as of now: with the mark of invalidation. */
struct fresh_info cache_object_info(const struct cache_object *);
