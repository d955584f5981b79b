/* SPDX-License-Identifier: MIT */
/*
 * key.h -- under which name a response is kept: the target URI, written in exactly one way (RFC 9111 section 2),
 * and the request fields that Vary nominates (section 4.1).
 *
 * The key is "scheme://host:port/path?query": scheme and host in lower case, the scheme's own port left out, an
 * empty path as "/". Parts that a parser could have let through with a delimiter or a control character inside
 * are refused, so no two targets share a key. Nothing that the client chooses freely but the target is in it.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "http/message.h"

struct cache_key {
    struct slice text;
    uint64_t hash; /* keyed with the process's seed */
};

/* In `arena`. False when a part holds what no URI may hold, or past the arena's cap. `scheme` stands in for a
   target without one. */
bool cache_key_make(struct cache_key *, const struct uri *, struct slice scheme, struct arena *);
void cache_key_of_text(struct cache_key *, struct slice text); /* text made by cache_key_make before */

uint64_t cache_key_seed(void);

/*
 * What a stored response varies on, as text: for each nominated name, lower-cased, "name=value\n" or "name\n" when
 * the request had none; values normalised where that cannot change their meaning. Empty: it does not vary.
 */
MUST err_t cache_vary_make(const struct http_fields *response, const struct http_fields *request, struct buf *out);
/* Would this request have made the same text? */
bool cache_vary_matches(struct slice vary, const struct http_fields *request);
/* One normalised value of all lines of `name`: E_NOT_FOUND when there is no line. */
MUST err_t cache_vary_value(const struct http_fields *request, struct slice name, struct buf *out);
