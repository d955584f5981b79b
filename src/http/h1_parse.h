/* SPDX-License-Identifier: MIT */
/*
 * h1_parse.h -- heads of HTTP/1 messages (RFC 9112), strict, incremental on a contiguous buffer.
 *
 * Hand over everything received so far; when the head is not whole yet, `*used` stays 0 and the caller comes back with
 * the same bytes and more. Bytes seen once are only searched for the head's end until it is there, so a peer that
 * sends byte by byte costs linear time. All slices point into the input; the array of fields comes from the arena.
 *
 * Lines end in CR LF. With accept_lf a bare LF ends one too (section 2.2). obs-fold, a bare CR, white space before a
 * colon and control characters are always refused in requests; in responses that white space is left out (section 5.1).
 * Errors carry a sentence for the error page in the fault note.
 */
#pragma once

#include "base/arena.h"
#include "http/h1_target.h"

struct h1_parse {
    bool accept_lf;
    bool lenient;         /* responses only: LF line ends, missing phrase, obs-fold; lines without a colon are skipped,
                             and bytes that do not begin with "HTTP/" are the body of a version 9 answer */
    uint32_t max_head;    /* bytes of start line and fields; 0: H1_MAX_HEAD */
    uint16_t max_fields;  /* 0: H1_MAX_FIELDS */
    size_t seen;          /* private: bytes known not to hold the head's end; 0 to begin */
    struct h1_host *host; /* requests only; NULL: every Host is parsed */
};

enum { H1_MAX_HEAD = 32 << 10, H1_MAX_FIELDS = 128, H1_MAX_TARGET = 8 << 10, H1_MAX_METHOD = 32 };

/* E_BAD_REQUEST, E_HTTP_VERSION, E_URI_TOO_LONG, E_HEADER_TOO_LARGE, E_NO_MEMORY. Checks Host (RFC 9112 section 3.2)
   and fills in the effective target. The form of the target must fit the method. *out is scribbled on before. */
MUST err_t h1_parse_request(struct h1_parse *, struct slice in, struct arena *, struct http_request *, size_t *used);
/* E_PROTO, E_HEADER_TOO_LARGE, E_NO_MEMORY. A version 9 answer has *used == 0 and *headless == true. */
MUST err_t h1_parse_response(struct h1_parse *, struct slice in, struct arena *, struct http_response *, size_t *used,
                             bool *headless);
/* A trailer section, with its last empty line (RFC 9112 section 7.1.2). E_DATA. */
MUST err_t h1_parse_trailers(struct slice in, struct arena *, struct http_fields *);

enum http_method h1_method(struct slice); /* M_OTHER when unknown; case-sensitive */

/* Does the connection stay open after this message (RFC 9112 section 9.3)? */
bool h1_keep_alive(uint8_t version, const struct http_fields *);
