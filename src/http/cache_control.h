/* SPDX-License-Identifier: MIT */
/*
 * cache_control.h -- the directives of Cache-Control (RFC 9111 section 5.2), of targeted fields such as
 * CDN-Cache-Control (RFC 9213), and of the extensions RFC 5861 (stale-*) and RFC 8246 (immutable).
 *
 * Pure. A message may have several lines; cache_control_add is called for each in turn and the result is the
 * most restrictive reading of all of them: where one directive stands twice, the smaller freshness wins
 * (section 4.2.1); a freshness that is no number counts as 0; a quoted comma ends nothing. Directives that loosen
 * (public, immutable) count only when spelled as defined.
 */
#pragma once

#include "http/message.h"

enum cc_directive {
    CC_NO_STORE = 1 << 0,
    CC_NO_CACHE = 1 << 1, /* unqualified */
    CC_PRIVATE = 1 << 2,  /* unqualified */
    CC_PUBLIC = 1 << 3,
    CC_MUST_REVALIDATE = 1 << 4,
    CC_PROXY_REVALIDATE = 1 << 5,
    CC_MUST_UNDERSTAND = 1 << 6,
    CC_NO_TRANSFORM = 1 << 7,
    CC_IMMUTABLE = 1 << 8,
    CC_ONLY_IF_CACHED = 1 << 9,
    CC_MAX_STALE_ANY = 1 << 10, /* max-stale without a number */
};

enum { CC_ABSENT = -1, CC_STRIP_MAX = 4 };
#define CC_SECONDS_MAX INT64_C(2147483648) /* delta-seconds saturate here, RFC 9111 section 1.2.2 */

struct cache_control {
    uint32_t has;                                                                            /* enum cc_directive */
    int64_t max_age, s_maxage, max_stale, min_fresh, stale_while_revalidate, stale_if_error; /* s, CC_ABSENT */
    /* Arguments of no-cache="..." and private="...": lists of field names that may not be stored. */
    struct slice strip[CC_STRIP_MAX];
    int strip_count;
};

void cache_control_init(struct cache_control *);
void cache_control_add(struct cache_control *, struct slice value); /* one Cache-Control line */
/* All lines of a message; for a request, Pragma: no-cache counts when there is no Cache-Control (section 5.4). */
void cache_control_of(struct cache_control *, const struct http_fields *, bool request);
/* A targeted field, all its lines joined: a Dictionary of RFC 9651. False, with the struct untouched, when it is
   empty, malformed or a known directive has the wrong type: then it counts as absent (RFC 9213 section 2.1). */
bool cache_control_targeted(struct cache_control *, struct slice value);

/* 1*DIGIT, saturated to CC_SECONDS_MAX; false on anything else. */
bool delta_seconds(struct slice, int64_t *);
