/* SPDX-License-Identifier: MIT */
/*
 * message.h -- HTTP messages as the parsers leave them and the handlers see them (RFC 9110).
 *
 * All slices point into the connection's buffer or the exchange's arena. Field names are recognised once, by
 * fields.def: `id` is the known name or F_OTHER, and `has` holds one bit a known name, so a question such as
 * "is there an If-None-Match?" is one test.
 */
#pragma once

#include "base/slice.h"

enum http_method {
    M_GET,
    M_HEAD,
    M_POST,
    M_PUT,
    M_DELETE,
    M_CONNECT,
    M_OPTIONS,
    M_TRACE,
    M_PATCH,
    M_PURGE,
    M_OTHER, /* method_text has it */
};

enum http_field_id {
    F_OTHER = 0,
#define FIELD_ROW(id, name, flags) id,
#include "http/fields.def"
#undef FIELD_ROW
    F_COUNT
};

struct http_field {
    struct slice name, value; /* value without surrounding white space */
    uint8_t id;               /* enum http_field_id */
    bool checked; /* as a parser let it pass: a token, and nothing that could split a line; not looked at again */
};
struct http_fields {
    struct http_field *v;
    uint16_t n, cap;
    uint64_t has[2]; /* one bit a known id */
};

/* RFC 3986, as RFC 9112 section 3.2 uses it. Empty slices where a part is missing. */
struct uri {
    struct slice scheme, host, path, query; /* host without brackets; path with its leading slash; query without '?' */
    struct slice userinfo;                  /* without '@'; refused in requests */
    struct slice fragment;                  /* without '#'; never sent */
    uint16_t port;                          /* 0 when not given */
    bool has_authority, has_query, has_fragment, has_userinfo, ipv6;
};

enum http_target_form { TARGET_ORIGIN, TARGET_ABSOLUTE, TARGET_AUTHORITY, TARGET_ASTERISK };

struct http_request {
    enum http_method method;
    struct slice method_text;
    struct slice target_text; /* as received */
    enum http_target_form form;
    struct uri target; /* the effective one: host from the target, else from Host */
    struct http_fields fields;
    uint8_t version; /* 9 (0.9 is refused), 10, 11, 20 */
};
struct http_response {
    uint16_t status;
    uint8_t version;
    struct slice reason; /* as received; empty to send the usual phrase */
    struct http_fields fields;
    /* To send, over HTTP/1: the head as it stands there, from the status line on, Date and Content-Length in it, so
       that of `fields` nothing is written any more; or empty. `lines` go behind it. Both are not copied and stay with
       the caller until reply_end. `length` is what that Content-Length says. */
    struct slice start, lines;
    uint64_t length;
    bool whole; /* behind the last of these, not counted, stands the CRLF that ends the head */
};
