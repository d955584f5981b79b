/* SPDX-License-Identifier: MIT */
/*
 * encode.h -- content-transfer-encodings (RFC 2045 section 6), fed in pieces of any size.
 *
 * Text is looked at first (mime_scan_*): how long are its lines, how many bytes need encoding, how do its lines end.
 * mime_choose then takes the lightest encoding that carries it unharmed. A line break of text is CRLF on the wire:
 *
 *  - text whose every LF follows a CR goes as it is;
 *  - otherwise each LF is a line break, and a CR that is left over is data, which only quoted-printable and base64
 * carry.
 */
#pragma once

#include "base/slice.h"

enum mime_encoding { MIME_7BIT, MIME_8BIT, MIME_QP, MIME_BASE64 };

enum {
    MIME_LINE_MAX = 998, /* RFC 5322 section 2.1.1, without CRLF */
    MIME_QP_LINE = 76,   /* RFC 2045 section 6.7 */
};

struct mime_scan { /* {0} to start */
    uint64_t bytes, eightbit, lf, crlf, cr,
        controls; /* cr: all of them; controls: NUL and others that text does not hold */
    uint64_t nul;
    uint64_t longest, line;                  /* the longest line, and the one being read */
    uint64_t bad_line;                       /* number of the first line over MIME_LINE_MAX, from 1; 0: none */
    uint32_t utf8_need, utf8_low, utf8_high; /* of the UTF-8 sequence being read */
    bool not_utf8, last_cr;
    char last;
};
void mime_scan_add(struct mime_scan *, struct slice);
void mime_scan_end(struct mime_scan *);
bool mime_scan_crlf(const struct mime_scan *);        /* every LF follows a CR, and no CR stands alone */
bool mime_scan_final_break(const struct mime_scan *); /* empty, or ends in a line break */

/* `exact_end`: nothing may be added at the end, though the text has no final line break (a message without parts). */
enum mime_encoding mime_choose(const struct mime_scan *, bool allow_8bit, bool exact_end);
const char *mime_encoding_name(enum mime_encoding);

struct mime_encoder {
    enum mime_encoding how;
    bool lf;       /* text: a LF becomes CRLF */
    bool mixed;    /* with lf, 7bit and 8bit: but not one that follows a CR already */
    bool text;     /* quoted-printable: line breaks are line breaks */
    bool soft_end; /* quoted-printable: end in a soft break when no line break does */
    size_t column; /* quoted-printable */
    char held;     /* white space or CR whose fate the next byte decides (mixed: the CR seen last); 0: none */
    uint8_t carry[57];
    size_t carry_n; /* base64: of a line that is not full */
};

/* Encode a piece; `out` has room for mime_encode_room(in.n). Returns the bytes written. `end` finishes (then no
   more may follow). */
size_t mime_encode(struct mime_encoder *, struct slice in, bool end, char *out);
static inline size_t mime_encode_room(size_t n)
{
    return 4 * n + 256;
}
/* Bytes that come out for a content with this scan, where that needs no trial: all but quoted-printable. */
bool mime_encoded_size(const struct mime_encoder *, const struct mime_scan *, uint64_t *size);

/* Dot-stuffing (RFC 5321 section 4.5.2): `*at_start` carries over whether a line begins; `out` has room for 2 n. */
size_t smtp_stuff(struct slice in, bool *at_start, char *out);
