/* SPDX-License-Identifier: MIT */
/*
 * base64_lines.h -- base64 as MIME wants it: lines of 76 characters (RFC 2045 section 6.8), at the speed of memory.
 *
 * Twelve bytes at a time by SSSE3 where the processor has it (multiply-and-shift to spread the six-bit groups, a
 * shuffle to turn them into letters, after Muła and Lemire), one group of three elsewhere.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { BASE64_LINE_IN = 57, BASE64_LINE_OUT = 78 /* with CRLF */, BASE64_SLACK = 16 };

/* Bytes that `n` encoded bytes take, the CRLF after each line (also the last) included. */
static inline uint64_t base64_lines_size(uint64_t n)
{
    uint64_t whole = n / BASE64_LINE_IN, rest = n % BASE64_LINE_IN;
    return whole * BASE64_LINE_OUT + (rest ? (rest + 2) / 3 * 4 + 2 : 0);
}

/* Encode `n` bytes, which end the data when they are no multiple of BASE64_LINE_IN. `out` has room for
   base64_lines_size(n) + BASE64_SLACK bytes. Returns the bytes written. */
size_t base64_lines(const uint8_t *in, size_t n, char *out);
/* The same without SSSE3, for tests and other processors. */
size_t base64_lines_plain(const uint8_t *in, size_t n, char *out);
