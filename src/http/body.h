/* SPDX-License-Identifier: MIT */
/*
 * body.h -- where a message's content ends (RFC 9112 sections 6 and 7).
 *
 * A framing that two parsers could read differently is an error, never a guess: Content-Length beside
 * Transfer-Encoding, several or malformed lengths, codings after chunked, Transfer-Encoding in HTTP/1.0.
 */
#pragma once

#include "base/buf.h"
#include "http/message.h"

enum body_kind {
    BODY_NONE,    /* no content: the message ends with its head */
    BODY_LENGTH,  /* `length` bytes */
    BODY_CHUNKED, /* chunked_decode says where */
    BODY_CLOSE,   /* responses: until the connection ends */
};
struct body_framing {
    enum body_kind kind;
    uint64_t length; /* 0 for NONE, UINT64_MAX when not known before */
    bool settled;    /* a response whose body_settle_length has nothing to do */
};

/* E_BAD_REQUEST, E_UNSUPPORTED for codings other than chunked. */
MUST err_t body_of_request(const struct http_request *, struct body_framing *);
/* `method` is the request's. E_PROTO. With `lenient`, Transfer-Encoding wins over Content-Length and a malformed length
   means until close (for the textbook's own servers). */
MUST err_t body_of_response(const struct http_response *, enum http_method, bool lenient, struct body_framing *);
/* Content-Length as it may be passed on: none where there may be none (1xx, 204, 2xx to CONNECT) or where it is no
   number (HEAD, 304), and several equal ones as one (RFC 9110 section 8.6). */
void body_settle_length(struct http_response *, enum http_method);
/* A Content-Length value: digits only; false otherwise. */
bool body_length(struct slice value, uint64_t *out);

/* A chunked body, decoded in place. {0} begins; `trailers` may be set to collect the raw trailer section (with its
   empty line) for h1_parse_trailers. */
struct chunked {
    uint64_t left;  /* bytes of this chunk still to come */
    uint32_t line;  /* bytes of the line being read: size, extensions, trailers */
    uint32_t extra; /* bytes of extensions and trailers so far */
    uint8_t state, digits;
    struct buf *trailers;
};
enum { CHUNKED_LINE_MAX = 4096, CHUNKED_EXTRA_MAX = 16 << 10, CHUNKED_DIGITS_MAX = 64 };

/* Takes framing and at most one run of data off the front of `in`: `*used` bytes were taken and `*data` (a part of
   them, maybe empty) is content. Call again while there is input and !*done. E_DATA, E_HEADER_TOO_LARGE. */
MUST err_t chunked_decode(struct chunked *, struct slice in, size_t *used, struct slice *data, bool *done);

/* "1a\r\n" into `out`; returns its length. */
enum { CHUNKED_HEAD_MAX = 20 };
size_t chunked_head(uint64_t n, char out[CHUNKED_HEAD_MAX]);
