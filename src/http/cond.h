/* SPDX-License-Identifier: MIT */
/* cond.h -- conditional requests (RFC 9110 section 13): entity tags, dates and their order of precedence. Pure. */
#pragma once

#include "http/message.h"

struct cond_resource {
    bool exists;       /* is there a current representation? */
    struct slice etag; /* as sent: "\"x\"" or "W/\"x\""; empty when it has none */
    bool has_modified;
    int64_t modified_s; /* Last-Modified, seconds since the epoch */
};

enum cond_result { COND_GO_ON, COND_NOT_MODIFIED, COND_FAILED }; /* FAILED: 412 */

/* Section 13.2.2, all but If-Range. For GET and HEAD a match of If-None-Match is 304, for other methods 412. */
enum cond_result cond_check(const struct http_fields *, enum http_method, const struct cond_resource *, int64_t now_s);
/* Section 13.1.5: may the Range field be honoured? True without If-Range. */
bool cond_range_allowed(const struct http_fields *, const struct cond_resource *, int64_t now_s);

bool etag_valid(struct slice);                     /* section 8.8.3 */
bool etag_weak_eq(struct slice a, struct slice b); /* section 8.8.3.2 */
bool etag_strong_eq(struct slice a, struct slice b);
