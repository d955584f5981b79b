/* SPDX-License-Identifier: MIT */
/*
 * fresh.h -- the arithmetic of RFC 9111 for a shared cache, with RFC 5861, 8246 and 9213: may this response be
 * stored, how long is it fresh, how old is it, may it answer this request, may it be served stale.
 *
 * Pure: fields and times in, verdicts out. Wall times are nanoseconds since 1970, durations whole seconds.
 * Each refusal comes with a sentence that `l7 proxy why` prints.
 */
#pragma once

#include "http/cache_control.h"

/* What the cache has to know of a request. */
struct fresh_request {
    enum http_method method;
    bool authorization, range, conditional; /* conditional: the client's own preconditions */
    struct cache_control cc;
};
void fresh_request_of(struct fresh_request *, enum http_method, const struct http_fields *);

/* Which directives rule a response: the first valid targeted field of the list (RFC 9213 section 2.2), else
   Cache-Control. */
struct fresh_rules {
    struct cache_control cc;
    bool targeted; /* then Cache-Control and Expires are not looked at */
};
void fresh_rules_of(struct fresh_rules *, const struct http_fields *response, const struct slice *targets, int count);

enum fresh_flag {
    FRESH_NO_CACHE = 1,   /* validate every time */
    FRESH_STRICT = 2,     /* never stale: must-revalidate, proxy-revalidate, s-maxage */
    FRESH_EXPLICIT = 4,   /* max-age, s-maxage or Expires; otherwise heuristic or nothing */
    FRESH_IMMUTABLE = 8,  /* RFC 8246 */
    FRESH_INVALID = 16,   /* invalidated or softly purged: validate, never stale */
    FRESH_VALIDATOR = 32, /* has an ETag or a Last-Modified */
};
struct fresh_info {
    uint16_t status;
    uint16_t flags;
    int64_t lifetime;                               /* s */
    int64_t born;                                   /* wall ns at which its age was 0 */
    int64_t stale_while_revalidate, stale_if_error; /* s, CC_ABSENT */
    int64_t date;                                   /* s: Date, or when it was received */
};
/* RFC 9111 sections 4.2.1 to 4.2.3; `request_ns` and `response_ns` are when the request left and the head came. */
void fresh_compute(struct fresh_info *, uint16_t status, const struct http_fields *, const struct fresh_rules *,
                   int64_t request_ns, int64_t response_ns);
int64_t fresh_age(const struct fresh_info *, int64_t now_ns); /* current_age, s, 0 .. CC_SECONDS_MAX */
int64_t fresh_ttl(const struct fresh_info *, int64_t now_ns); /* lifetime - age; negative when stale */

/* What the response forbids whatever its freshness (no-store, private): why, or NULL. Part of the next one; by itself
   it spares the rest of the work. */
const char *fresh_forbidden(uint16_t status, const struct fresh_rules *);
/* Section 3: NULL when the response may be stored, else why not. 206 and POST are judged here as well; that the
   206 can be placed and the Content-Location of a POST names the target is the caller's to see. */
const char *fresh_unstorable(const struct fresh_request *, uint16_t status, const struct http_fields *,
                             const struct fresh_rules *, const struct fresh_info *);
bool fresh_status_understood(uint16_t status);

enum fresh_use {
    FRESH_SERVE,     /* answer with it */
    FRESH_SERVE_SWR, /* answer with it and validate in the background (RFC 5861 section 3) */
    FRESH_VALIDATE,  /* ask the origin first */
};
struct fresh_verdict {
    enum fresh_use use;
    int64_t age, ttl; /* s */
    const char *why;  /* a sentence */
    bool by_request;  /* it was the request that wanted the origin asked (fwd=request), not staleness */
};
struct fresh_verdict fresh_judge(const struct fresh_info *, const struct fresh_request *, int64_t now_ns);

/* The origin failed: `status` 500, 502, 503, 504 came, or 0 when nothing did. May the stored response answer? */
bool fresh_stale_on_error(const struct fresh_info *, const struct fresh_request *, uint16_t status, int64_t now_ns);

/* Section 3.1: fields that are never stored. Connection's own list is the caller's business. */
bool fresh_field_stored(const struct http_field *);
/* Section 3.2: fields that a 304 or HEAD does not change in a stored response. */
bool fresh_field_updates(const struct http_field *);
/* Section 4.3.5: does this 200 to a HEAD describe the stored response (else that is stale)? */
bool fresh_head_matches(const struct http_fields *stored, uint64_t stored_length, const struct http_fields *head);
/* Section 4.3.4: does a 304 with these fields select the stored response? `only` = it was the only candidate. */
bool fresh_304_selects(const struct http_fields *stored, const struct http_fields *response, bool only);

bool fresh_method_safe(enum http_method);
/* Section 4.4: does this answer to this method invalidate what is stored? */
bool fresh_invalidates(enum http_method, uint16_t status);
