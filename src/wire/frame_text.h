/* SPDX-License-Identifier: MIT */
/* frame_text.h -- HTTP/2 frames in words (RFC 9113 section 6). Pure. */
#pragma once

#include "base/slice.h"

enum { FRAME_HEADER = 9, FRAME_PEEK = 8 };

/* How many bytes of payload the text wants to see, given the nine of the header. */
size_t frame_peek(const char header[FRAME_HEADER]);
/* "HEADERS stream 1, 45 bytes, END_STREAM, END_HEADERS" from the header and those bytes; returns the payload's length.
 */
size_t frame_text(struct slice header_and_peek, char *out, size_t cap);
