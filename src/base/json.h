/* SPDX-License-Identifier: MIT */
/*
 * json.h -- a streaming JSON writer (RFC 8259) onto a buffer.
 *
 * Commas and quotes are its business; nesting is at most 32 deep. Strings that are not UTF-8 have each bad byte
 * replaced by U+FFFD. The first error sticks and is returned by json_end_line.
 *
 *     struct json j = json_start(&buf);
 *     json_open(&j, '{');
 *     json_key(&j, "seq"), json_int(&j, 7);
 *     json_close(&j, '}');
 *     TRY(json_end_line(&j));
 */
#pragma once

#include "base/buf.h"

struct json {
    struct buf *out;
    err_t err;
    uint32_t comma; /* one bit a level: does the next value need a comma first? */
    int depth;
};

struct json json_start(struct buf *out);
void json_open(struct json *, char bracket);  /* '{' or '[' */
void json_close(struct json *, char bracket); /* '}' or ']' */
void json_key(struct json *, const char *key);
void json_key_slice(struct json *, struct slice key);
void json_string(struct json *, struct slice);
void json_int(struct json *, int64_t);
void json_uint(struct json *, uint64_t);
void json_real(struct json *, double value, int decimals); /* NaN and infinities become null */
void json_digits(struct json *, double value,
                 int digits); /* likewise, for any order of magnitude: significant digits */
void json_bool(struct json *, bool);
void json_null(struct json *);
MUST err_t json_end_line(struct json *); /* adds the newline; returns the first error */
