/* SPDX-License-Identifier: MIT */
/*
 * header_format.h -- header fields: folded (RFC 5322 section 2.2.3), words beyond ASCII encoded (RFC 2047),
 * parameters with names beyond ASCII (RFC 2231), addresses and dates.
 *
 * Each function adds one whole field, CRLF included. A CR, LF, NUL or other control character in what comes from
 * outside is E_DATA with a fault note that names the field: nothing that is passed in can begin a field of its own.
 * With `utf8` (RFC 6532: the server takes SMTPUTF8) text beyond ASCII stays as it is.
 */
#pragma once

#include "base/buf.h"
#include "smtp/address.h"

enum {
    HEADER_FOLD = 76,         /* RFC 2047 section 2 asks for 76, RFC 5322 for 78 */
    HEADER_WORD_MAX = 75,     /* of one encoded word, RFC 2047 section 2 */
    HEADER_LINE_MAX = 900,    /* a word this long is still left beside its field's name */
    HEADER_VALUE_MAX = 64000, /* of one value; more is a mistake or an attack */
};

/* Free text: every byte of `value` comes back from a decoder, runs of spaces included. */
MUST err_t header_text(struct buf *, const char *name, struct slice value, bool utf8);
MUST err_t header_mailboxes(struct buf *, const char *name, const struct smtp_mailbox *, size_t n, bool utf8);
MUST err_t header_date(struct buf *, const char *name, int64_t unix_seconds, int offset_minutes);

/* A parameter after a value: "; NAME=VALUE" on a line of its own, folded before the line passes HEADER_FOLD. A
   value beyond ASCII, or a long one, goes in the extended form first and as an ASCII likeness second, for readers
   that know only that. `field` is what the fault note calls it. */
MUST err_t header_param(struct buf *, const char *param, struct slice value, const char *field);

/* A field name of RFC 5322: printable ASCII without colon. */
bool header_name_valid(struct slice);
/* No CR, LF, NUL or other control but TAB, at most HEADER_VALUE_MAX bytes, UTF-8. E_DATA naming the field. */
MUST err_t header_value_check(struct slice value, const char *field);
/* "Mon, 23 Nov 2026 22:47:42 +0000" into `out`; returns `out`. */
char *header_date_text(int64_t unix_seconds, int offset_minutes, char out[80]);
