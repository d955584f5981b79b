/* SPDX-License-Identifier: MIT */
/*
 * head.h -- field sections on their way through (RFC 9110 section 7.6): what is dropped, what is added, what is
 * rewritten. Pure: results are in the arena given; values are borrowed from the input.
 */
#pragma once

#include "base/addr.h"
#include "http/cache_control.h"
#include "http/fields.h"

struct head_forwarded { /* for X-Forwarded-* and Forwarded in reverse mode */
    bool on;
    bool trusted; /* keep what the client sent and append */
    const struct addr *peer;
    struct slice host; /* as the client asked; fit to be sent */
    bool secure;
};

struct head_request {
    const struct http_request *in;
    struct slice host;                /* value of Host, fit to be sent; empty: leave it to the client library */
    bool keep_proxy_auth;             /* towards a parent proxy */
    bool drop_conditions, drop_range; /* the cache puts its own in */
    bool upgrade;                     /* Connection: Upgrade and Upgrade go along */
    bool expect;                      /* and Expect, which then is 100-continue */
    struct head_forwarded forwarded;
};
/* E_NO_MEMORY, E_HEADER_TOO_LARGE past the arena's cap. */
MUST err_t head_to_origin(const struct head_request *, struct arena *, struct http_fields *out);

/* A response's fields as they are forwarded and stored: hop-by-hop ones and those named by Connection gone, Via
   added. `strip` (from no-cache="..." and private="...") lists fields that are not stored; NULL when forwarding. */
MUST err_t head_from_origin(const struct http_fields *in, uint8_t version, const struct cache_control *strip,
                            struct arena *, struct http_fields *out);

/* Copied into the arena whole, names, values and the array, which may have been another section's. E_NO_MEMORY. */
MUST err_t head_own(struct http_fields *, struct arena *);

/* Without the fields that `strip` names. */
MUST err_t head_strip(const struct http_fields *in, const struct cache_control *strip, struct arena *,
                      struct http_fields *out);
bool head_listed(const struct http_fields *, struct slice name); /* is it named by Connection? */
/* Does the request ask for another protocol, and for one that may be tunnelled (RFC 9110 section 7.8)? Not for HTTP/2,
   whose requests would pass our rules unseen. */
bool head_upgrades(const struct http_request *);
/* Is the protocol that a 101 switches to one of those asked for? */
bool head_upgrade_fits(const struct http_request *, const struct http_fields *response);
/* Via for a message that came in this version; false past the arena's cap. */
bool head_add_via(uint8_t version, struct arena *, struct http_fields *out);
