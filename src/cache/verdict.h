/* SPDX-License-Identifier: MIT */
/*
 * verdict.h -- what the cache did with a request, as Cache-Status says it (RFC 9211) and the access log shows it.
 */
#pragma once

#include "base/arena.h"

enum verdict_fwd {              /* why the request went forward, section 2.2 */
                   VERDICT_HIT, /* it did not */
                   VERDICT_BYPASS,
                   VERDICT_METHOD,
                   VERDICT_URI_MISS,
                   VERDICT_VARY_MISS,
                   VERDICT_REQUEST,
                   VERDICT_STALE,
                   VERDICT_PARTIAL,
};
struct verdict {
    enum verdict_fwd fwd;
    uint16_t fwd_status; /* 0: as in the response */
    bool has_ttl, stored;
    int collapsed; /* 0 no, 1 yes, -1 tried in vain */
    int64_t ttl;
    const char *detail; /* a token, or NULL */
};

enum { VERDICT_ROOM = 160 };

/* "l7; hit; ttl=376"; returns the length, at most VERDICT_ROOM. */
size_t verdict_format(const struct verdict *, char out[VERDICT_ROOM]);
const char *verdict_fwd_text(enum verdict_fwd); /* "uri-miss" */
