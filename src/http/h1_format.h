/* SPDX-License-Identifier: MIT */
/*
 * h1_format.h -- heads of HTTP/1 messages, written (RFC 9112).
 *
 * Nothing that could split a line leaves here: names must be tokens and values free of control characters, otherwise
 * E_INTERNAL. The caller adds the empty line that ends a head (h1_format_end), so that it can append fields.
 */
#pragma once

#include "base/buf.h"
#include "http/message.h"

MUST err_t h1_format_status_line(struct buf *, uint16_t status, struct slice reason); /* always HTTP/1.1 */
/* Is it fit to be sent? */
bool h1_field_check(const struct http_field *);
static inline bool h1_field_ok(const struct http_field *f)
{
    return f->checked || h1_field_check(f);
}
/* "name: value\r\n" to where there is room for it; returns what follows. */
char *h1_put_field(char *at, struct slice name, struct slice value);
/* The same of several; lines that stand one behind the other in the message that they came in are copied as one. */
char *h1_put_fields(char *at, const struct http_field *, uint16_t n);
MUST err_t h1_format_field(struct buf *, struct slice name, struct slice value);
MUST err_t h1_format_fields(struct buf *, const struct http_fields *);
MUST err_t h1_format_end(struct buf *);
