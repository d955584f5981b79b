/* SPDX-License-Identifier: MIT */
/*
 * rules.h -- what the standards say a client does next: where a redirect leads and with which method, when a request
 * is worth repeating, which proxy a host wants. Pure.
 */
#pragma once

#include "base/clock.h"
#include "http/message.h"

/* ---- Redirects (RFC 9110 section 15.4) ---- */

bool rules_redirects(uint16_t status); /* 301 302 303 307 308 */
/* Does the next request become a GET without a body? 303 always (but for HEAD), 301 and 302 after a POST. */
bool rules_becomes_get(uint16_t status, struct slice method);
/* The same scheme, host and port: credentials stay only then. */
bool rules_same_origin(const struct uri *, const struct uri *);

/* ---- Retries ---- */

/* Statuses that pass: 408, 429, 500, 502, 503, 504. */
bool rules_transient(uint16_t status);
/* How long to wait before attempt number `attempt` (1 is the first retry): 1 s, doubled, at most 10 min. */
int64_t rules_backoff(int64_t attempt);
/* Retry-After (section 10.2.3): seconds or a date. False when it is neither. */
bool rules_retry_after(struct slice value, int64_t now_s, int64_t *ns);

/* ---- Proxies ---- */

/* Is `host` named in a NO_PROXY list: "*", "example.org" (and every host below it), ".example.org", an address,
   "10.0.0.0/8", any of them with ":PORT"? */
bool rules_no_proxy(struct slice list, struct slice host, uint16_t port);

/* ---- Names ---- */

/* The last segment of a URL's path, decoded, fit to be a file name; false when there is none. */
bool rules_url_name(struct slice path, char *out, size_t cap);
/* The file name that Content-Disposition suggests (RFC 6266, with filename* of RFC 8187), without any folder. */
bool rules_disposition_name(struct slice value, char *out, size_t cap);
