/* SPDX-License-Identifier: MIT */
/*
 * exchange.h -- one request being answered, whatever the version of HTTP beneath.
 *
 * h1_server and h2_server fill in `ops`; handlers (serve, proxy, lab, metrics) see only this. A handler reads
 * the body if it wants it, calls reply_head once, then reply_body, _file or _pages until the length is reached, then
 * reply_end. What it leaves undone, exchange_conclude settles in one place: a handler that failed before
 * reply_head gets an error page from err->http; after it, and behind a 1xx that was cut short, the exchange is broken
 * off (close, or RST_STREAM).
 *
 * The transport adds Date, and the framing: with Content-Length among the response's fields the body has
 * exactly that length, otherwise it is sent chunked (HTTP/1.1), until close (1.0) or until END_STREAM (2).
 * For HEAD, 204 and 304 the transport sends no body, whatever the handler writes.
 *
 * Deadlines: `until` bounds a call as everywhere; besides, the transport breaks off a peer that takes or sends
 * nothing for its body timeout, so handlers mostly pass TICK_NEVER.
 */
#pragma once

#include "base/addr.h"
#include "base/arena.h"
#include "http/fields.h"
#include "rt/fiber.h"

struct stream;
struct exchange;
struct exchange_ops {
    err_t (*read_body)(struct exchange *, void *, size_t cap, size_t *got, tick until);
    err_t (*interim)(struct exchange *, const struct http_response *, tick until); /* 1xx */
    err_t (*head)(struct exchange *, const struct http_response *, tick until);
    err_t (*body)(struct exchange *, struct slice, tick until);
    err_t (*file)(struct exchange *, int file, uint64_t off, uint64_t len, tick until);
    err_t (*pages)(struct exchange *, struct slice, tick until);
    err_t (*end)(struct exchange *, const struct http_fields *trailers, tick until);
    /* Send what is held back of the head and the body so far (before a long pause); NULL: nothing is ever held back. */
    err_t (*flush)(struct exchange *, tick until);
    /* Take the connection's stream over (CONNECT, Upgrade), with the bytes already read; NULL: impossible. The stream
       then belongs to the handler, who closes it. */
    err_t (*detach)(struct exchange *, struct stream **, struct slice *early);
};

/* A page in place of the built-in one: sends it, with the fields of `extra` (NULL: none), and returns true through
 *sent. */
typedef err_t error_page_fn(struct exchange *, uint16_t status, const struct http_fields *extra, const void *conf,
                            bool *sent, tick until);

struct exchange {
    const struct exchange_ops *ops;
    struct arena *arena;             /* dies with the exchange */
    const struct addr *peer, *local; /* of the connection */
    bool secure;                     /* over TLS */
    error_page_fn *error_page;       /* NULL: the built-in pages */
    const void *conf;                /* for error_page: the handler's */
    bool last;                       /* set before the head: the connection ends after this answer */
    /* -- kept by the functions below -- */
    uint16_t status;             /* of the final head sent; 0 before */
    uint64_t sent;               /* bytes of body sent, of one that broke off as well: kept by the transport */
    uint64_t received;           /* bytes of request body read */
    uint64_t body_length;        /* announced by the request; UINT64_MAX when it is chunked, 0 when it has none */
    bool body_done;              /* the request's body was read to its end */
    struct http_fields trailers; /* of the request, once body_done */
    bool ended, detached;
    err_t broken;      /* why it broke off, and the connection with it; NULL: it did not */
    tick started;      /* first byte of the request */
    struct slice note; /* what a handler wants in the access log (cache verdict) */
    struct http_request request;
};

typedef err_t handler_fn(struct exchange *, const void *conf, tick until);

/* got 0 = the whole body was read. Sends 100 (Continue) on the first call when the client waits for it. */
MUST err_t request_body(struct exchange *, void *, size_t cap, size_t *got, tick until);
/* Read and drop the body; one that is longer than `max` bytes only so far: then body_done stays false. */
MUST err_t request_skip_body(struct exchange *, uint64_t max, tick until);
MUST err_t reply_interim(struct exchange *, const struct http_response *, tick until);
MUST err_t reply_head(struct exchange *, const struct http_response *, tick until);
MUST err_t reply_body(struct exchange *, struct slice, tick until);
MUST err_t reply_file(struct exchange *, int file, uint64_t off, uint64_t len, tick until);
/* As reply_body, of memory as base/pages.h makes it: large pieces then leave without a copy. */
MUST err_t reply_pages(struct exchange *, struct slice, tick until);
MUST err_t reply_end(struct exchange *, tick until);
MUST err_t reply_end_trailers(struct exchange *, const struct http_fields *, tick until);
MUST err_t reply_flush(struct exchange *, tick until);
/* 101, or 200 to CONNECT, has been sent with reply_head: the bytes now belong to the handler. E_UNSUPPORTED. */
MUST err_t exchange_detach(struct exchange *, struct stream **, struct slice *early);

/* Head, body and end in one: for small complete answers. Content-Length is added. `type` may be empty. */
MUST err_t reply_text(struct exchange *, uint16_t status, struct slice type, struct slice body, tick until);
/* The same with fields of the caller's (in the exchange's arena), Content-Type among them. */
MUST err_t reply_whole(struct exchange *, struct http_response *, struct slice body, tick until);
/* The short readable page for a status; `detail` (escaped here) says what was wrong, may be empty. */
MUST err_t reply_error(struct exchange *, uint16_t status, struct slice detail, tick until);
/* The same with further fields (Allow, WWW-Authenticate, Content-Range) in `extra`. */
MUST err_t reply_error_fields(struct exchange *, uint16_t status, struct slice detail, const struct http_fields *extra,
                              tick until);

/* Settle what the handler left: see above. `failed` is what the handler returned. */
void exchange_conclude(struct exchange *, err_t failed, tick until);

/* Text for HTML: & < > " ' escaped, control characters as by text_safe; in the arena. */
struct slice html_escape(struct arena *, struct slice);
