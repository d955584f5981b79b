/* SPDX-License-Identifier: MIT */
/*
 * structured.h -- Dictionaries of Structured Fields (RFC 9651 section 3.2), strictly: one bad byte anywhere
 * makes the whole field invalid. Pure; values are borrowed from the input.
 */
#pragma once

#include "base/slice.h"

enum structured_type {
    STRUCTURED_TRUE, /* no value, or ?1 */
    STRUCTURED_FALSE,
    STRUCTURED_INTEGER,
    STRUCTURED_DECIMAL,
    STRUCTURED_STRING,
    STRUCTURED_TOKEN,
    STRUCTURED_OTHER, /* byte sequence, date, display string, inner list: checked for form, not taken apart */
};
struct structured_member {
    struct slice key, value; /* a string without its quotes, escapes left in */
    enum structured_type type;
};

/* The next member; parameters are checked and skipped. False at the end, and with `*bad` set on an error. */
bool structured_dict_next(struct slice *rest, struct structured_member *, bool *bad);
