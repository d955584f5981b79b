/* SPDX-License-Identifier: MIT */
/*
 * header_word.h -- the words of a header field: where a line is folded, and encoded words (RFC 2047).
 *
 * A header_line adds word after word, each after one space; it folds in front of a word that would pass HEADER_FOLD.
 * Encoded words never split a character (RFC 2047 section 5) and use B where it is clearly shorter than Q; Q here keeps
 * to the letters that are allowed everywhere, display names included.
 */
#pragma once

#include "base/buf.h"

struct header_line {
    struct buf *b;
    size_t start; /* where the current line begins in the buffer */
};

MUST err_t header_line_word(struct header_line *, struct slice word);
MUST err_t header_line_encoded(struct header_line *, struct slice utf8_text);
