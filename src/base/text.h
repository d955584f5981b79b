/* SPDX-License-Identifier: MIT */
/*
 * text.h -- between people and numbers: durations and sizes as options spell them, escaping of bytes that
 * came from the network, base64, hex, percent-encoding and UTF-8.
 */
#pragma once

#include "base/buf.h"

/* "250ms", "10s", "5m", "1h", "1d", "1.5s", "2us"; a bare number is seconds. Result in ns, >= 0. E_USAGE. */
MUST err_t text_duration(struct slice, int64_t *ns);
/* "4096", "64K", "10M", "1G", also "KiB"/"kB" spellings are refused: powers of 1024 only. E_USAGE. */
MUST err_t text_size(struct slice, uint64_t *bytes);
/* "40%", "0.4", "4/11" into a probability in [0, 1]. E_USAGE. */
MUST err_t text_ratio(struct slice, double *p);

/* Bytes for a terminal or a log: printable ASCII and valid UTF-8 (no C1, no bidi controls) stay, everything
   else becomes \xHH. Always terminated, cut at `cap`; returns the length. */
size_t text_safe(struct slice, char *out, size_t cap);
MUST err_t text_safe_add(struct buf *, struct slice);

/* `n` bytes as "1.5 KiB", `ns` as "12.3 ms", into `out` (at least 32 bytes); returns `out`. */
char *text_size_human(uint64_t bytes, char *out);
char *text_duration_human(int64_t ns, char *out);

bool text_utf8_valid(struct slice);

MUST err_t text_base64_add(struct buf *, struct slice);    /* RFC 4648 section 4, padded, one line */
MUST err_t text_base64_decode(struct slice, struct buf *); /* strict: E_DATA on anything else */
MUST err_t text_hex_add(struct buf *, struct slice);       /* lower case */
MUST err_t text_hex_decode(struct slice, struct buf *);    /* E_DATA */
/* RFC 3986 section 2.1: everything but unreserved and the bytes in `keep` becomes %HH. */
MUST err_t text_percent_add(struct buf *, struct slice, const char *keep);
MUST err_t text_percent_decode(struct slice, struct buf *); /* E_DATA on a bad escape */

/* Edit distance (Damerau-Levenshtein, adjacent swaps) for "did you mean"; inputs are cut at 63 bytes. */
int text_distance(struct slice a, struct slice b);
