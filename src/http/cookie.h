/* SPDX-License-Identifier: MIT */
/*
 * cookie.h -- what servers ask a client to remember (RFC 6265, with the prefixes and the rules for secure origins of
 * its revision), and the file in Netscape's format that curl and wget read and write.
 *
 * Time is an argument everywhere (seconds since the epoch). A jar belongs to one loop. Domains that are public
 * suffixes ("co.uk") cannot be given cookies; the list is libpsl's and is touched when the first Domain comes.
 */
#pragma once

#include "base/buf.h"
#include "base/list.h"

enum {
    COOKIE_SIZE_MAX = 4096,       /* name and value together */
    COOKIE_JAR_MAX = 3000,        /* cookies in a jar, the oldest goes first (RFC 6265 section 6.1) */
    COOKIE_DOMAIN_MAX = 180,      /* and of one domain */
    COOKIE_AGE_MAX = 400 * 86400, /* seconds that a server can ask for */
};

/* One Set-Cookie line as written, before any rule about who may set what. Slices point into the line. */
struct cookie_line {
    struct slice name, value;
    struct slice domain; /* without its leading dot; empty when not given */
    struct slice path;   /* empty when not given or not absolute */
    int64_t expires;     /* seconds; COOKIE_SESSION when it ends with the session */
    bool secure, http_only;
};
#define COOKIE_SESSION INT64_MAX

/* False for a line that section 5.2 ignores as a whole: no name and no value, control characters, too large. */
bool cookie_parse(struct slice line, int64_t now_s, struct cookie_line *);
/* The loose dates of section 5.1.1. */
bool cookie_date(struct slice, int64_t *epoch_s);

struct cookie {
    struct list link; /* in order of creation */
    struct slice name, value, domain, path;
    int64_t expires;
    bool secure, http_only, host_only;
};
struct cookie_jar {
    struct list cookies;
    size_t count;
};
/* Who speaks: of the request's URL, host in lower case without brackets. */
struct cookie_origin {
    struct slice host, path;
    bool secure;
};

void cookie_jar_init(struct cookie_jar *);
void cookie_jar_done(struct cookie_jar *);

/* One Set-Cookie value from `origin`. E_DATA (malformed) or E_FORBIDDEN (may not be set from there) with a note; a
   cookie that has expired deletes the one of the same name, domain and path. */
MUST err_t cookie_jar_set(struct cookie_jar *, const struct cookie_origin *, struct slice line, int64_t now_s);
/* "a=1; b=2" for a request to `origin`, appended to `out`; nothing when no cookie matches. */
MUST err_t cookie_jar_header(struct cookie_jar *, const struct cookie_origin *, int64_t now_s, struct buf *out);

/* Netscape's format: seven fields a line between tabs; "#HttpOnly_" before the domain; expires 0 is the session. */
MUST err_t cookie_jar_load(struct cookie_jar *, struct slice text, int64_t now_s); /* E_DATA with the line's number */
MUST err_t cookie_jar_save(struct cookie_jar *, struct buf *out, int64_t now_s);
void cookie_jar_end_session(struct cookie_jar *); /* forget the cookies that have no expiry */

/* For the jar's own files: add or replace by name, domain and path. */
MUST err_t cookie_jar_put(struct cookie_jar *, const struct cookie *);
