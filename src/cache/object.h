/* SPDX-License-Identifier: MIT */
/*
 * object.h -- one stored response.
 *
 * Immutable once it is in an index, but for two atomic marks; counted by reference, so that a reader keeps what
 * it is sending while the index has moved on. Its fields are stored as they will be sent: `head` is the finished
 * field section without the status line, Age and Cache-Status, and `fields` points into it. One allocation holds
 * everything but the body.
 */
#pragma once

#include "base/list.h"
#include "base/table.h"
#include "cache/body.h"
#include "cache/key.h"
#include "http/fresh.h"

struct cache_object {
    uint32_t magic;
    atomic_uint refs;
    atomic_uint hits;         /* capped small count, for the eviction policy */
    atomic_bool invalid;      /* invalidated or softly purged: validate before use */
    atomic_bool revalidating; /* one background validation at a time */
    struct fresh_info info;
    struct slice key, vary;
    uint64_t hash;
    struct slice status_line; /* "HTTP/1.1 200 OK\r\n" */
    struct slice head;        /* "Name: value\r\n" ... ; Content-Length among them when complete */
    struct http_fields fields;
    struct slice etag; /* {NULL, 0} without */
    struct cache_body *body;
    bool partial;  /* the body has holes or an end that was not seen */
    size_t memory; /* of all of it, as accounted */
    /* -- owned by the index (memory.c) -- */
    struct table_link link;
    struct list queue;
    bool in_main, indexed;
    /* -- owned by the disk tier -- */
    uint64_t ticket; /* of the file that it was read from */
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
struct cache_object *cache_object_ref(struct cache_object *);
void cache_object_unref(struct cache_object *); /* NULL is accepted */

/* The info as of now: with the mark of invalidation. */
struct fresh_info cache_object_info(const struct cache_object *);
