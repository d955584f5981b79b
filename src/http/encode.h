/* SPDX-License-Identifier: MIT */
/*
 * encode.h -- content codings (RFC 9110 section 8.4), streaming: gzip, deflate, br and zstd.
 *
 * A decoder takes compressed bytes as they come and gives plain bytes as there is room; it never holds more than
 * its window. Several codings are undone by a chain, the last one applied first. What ends before the coding says
 * so is E_TRUNCATED, what is not in the coding is E_DATA. No library is touched before its first decoder is made.
 */
#pragma once

#include "base/err.h"

enum coding { CODING_IDENTITY, CODING_GZIP, CODING_DEFLATE, CODING_BR, CODING_ZSTD, CODING_UNKNOWN };

enum coding coding_id(struct slice name); /* case-insensitive; "x-gzip" is gzip */
/* What a client that decodes everything says in Accept-Encoding. */
#define CODING_ACCEPT_ALL "gzip, deflate, br, zstd"

struct decoder;
MUST err_t decoder_new(enum coding, struct decoder **); /* E_NO_MEMORY, E_UNSUPPORTED */
void decoder_free(struct decoder *);                    /* NULL is accepted */
/* Feed from `*in` (cut as it is used) into `out`; `*got` bytes came. Call again with the same rest while `*got` is
   `cap`, or while `in` is not used up. */
MUST err_t decoder_feed(struct decoder *, struct slice *in, void *out, size_t cap, size_t *got);
bool decoder_done(const struct decoder *); /* the coding has reached its own end */
