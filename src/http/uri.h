/* SPDX-License-Identifier: MIT */
/*
 * uri.h -- URI references (RFC 3986): parsed, normalised, resolved, written.
 *
 * Parsing is strict about what could be read in two ways (controls, spaces, bad escapes, bytes outside of ASCII) and
 * tolerant of what browsers leave unescaped in paths and queries ([ ] ^ ` { | }). Slices point into the input.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "http/message.h"

/* A URI reference, absolute or relative. E_DATA with a note that says what is wrong. */
MUST err_t uri_parse(struct slice, struct uri *);
/* "host", "host:port", "[::1]:port", also with userinfo: the authority alone (section 3.2). E_DATA. */
MUST err_t uri_parse_authority(struct slice, struct uri *);
/* "/path?query", as a request's origin-form has it (RFC 9112 section 3.2.1). E_DATA. */
MUST err_t uri_parse_origin(struct slice, struct uri *);

/* The first byte at or after `p` that does not stand in a path as it is: "%", "?", "#", a space, what must be escaped.
 */
const char *uri_plain_end(const char *p, const char *end);

uint16_t uri_default_port(struct slice scheme); /* 80, 443, 0 unknown */
uint16_t uri_port(const struct uri *);          /* the one given, else the scheme's */

/* Syntax-based normalisation (section 6.2.2) and the http scheme's (6.2.3): lower-case scheme and host, escapes in
   upper case, unreserved ones decoded, dot segments removed, "/" for an empty path, the default port dropped. */
MUST err_t uri_normalise(struct arena *, const struct uri *, struct uri *out);
/* `reference` as seen from `base` (section 5.2.2). */
MUST err_t uri_resolve(struct arena *, const struct uri *base, const struct uri *reference, struct uri *out);
MUST err_t uri_add(struct buf *, const struct uri *); /* the whole text, fragment included */
MUST err_t uri_add_authority(struct buf *,
                             const struct uri *); /* "host:port" with brackets; the port only when given */

/* A request's path as a file name beneath a root: escapes decoded, dot segments and empty segments removed, without
   the leading slash; a trailing slash stays. Room for path.n bytes at `out`. False for a bad escape, an escaped
   slash, a NUL, or a path that climbs above its root. */
bool uri_path_decode(struct slice path, char *out, size_t *n);
