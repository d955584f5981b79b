/* SPDX-License-Identifier: MIT */
/*
 * byteranges.h -- several ranges in one 206: multipart/byteranges (RFC 9110 section 14.6). Pure. The head of every part
 * is known before the first byte leaves, so the length is, too.
 */
#pragma once

#include "base/arena.h"
#include "http/range.h"

struct byteranges {
    struct slice type;   /* value of the 206's Content-Type */
    struct slice *heads; /* n + 1: what goes in front of each range's bytes, and the end */
    uint64_t length;     /* of the whole body */
};

/* `type`: the Content-Type of the representation, may be empty; `size`: its bytes; `mark`: any number that is unlikely
   within it, for the boundary. Everything is in the arena. E_NO_MEMORY. */
MUST err_t byteranges_make(struct arena *, struct slice type, uint64_t size, const struct range *, int n, uint64_t mark,
                           struct byteranges *out);
