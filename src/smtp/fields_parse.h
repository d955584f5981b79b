/* SPDX-License-Identifier: MIT */
/*
 * fields_parse.h -- the header section of a ready message, field by field (RFC 5322 section 2.2).
 *
 * Lines may end in LF or CRLF. A line that is neither a field nor the continuation of one ends the header, as
 * sendmail has it; the empty line that should stand there is then missing.
 */
#pragma once

#include "base/arena.h"

struct smtp_field {
    struct slice name;
    struct slice raw;   /* the whole field with its line ends */
    struct slice value; /* folded, as it came, without the colon */
};

/* The next field at the start of `*rest`. False at the end of the header, with the empty line eaten. */
bool smtp_field_next(struct slice *rest, struct smtp_field *);
/* The value on one line: line ends taken out, white space at both ends too. p NULL: no memory. */
struct slice smtp_field_unfold(struct arena *, struct slice value);
