/* SPDX-License-Identifier: MIT */
/*
 * reply_parse.h -- what an SMTP server answers (RFC 5321 section 4.2), with enhanced status codes (RFC 2034, 3463).
 *
 * A reply is one line or several with the same code: "250-first", "250-second", "250 last". The parser looks at the
 * unread bytes from the start each time; a reply is at most SMTP_REPLY_MAX bytes, so that costs nothing worth
 * keeping state for. Lines end in CRLF; a bare LF is accepted from servers, since refusing it would help nobody.
 */
#pragma once

#include "base/err.h"

enum {
    SMTP_REPLY_MAX = 64 * 1024,      /* of one whole reply; real ones stay under 4 KiB */
    SMTP_REPLY_LINE_MAX = 12 * 1024, /* RFC 4954 section 4: challenges may be that long */
};

struct smtp_enhanced { /* RFC 3463; class 0: there was none */
    uint8_t class;
    uint16_t subject, detail;
};
struct smtp_reply {
    int code;                      /* 200 to 599 */
    struct slice raw;              /* all lines as they came, with their line ends */
    struct smtp_enhanced enhanced; /* of the first line, when its class fits the code */
};

/* Parse the reply at the start of `in`. `*took` is its length, or 0 when it is not whole yet.
   E_PROTO: not a reply, or lines with different codes. E_TOO_LARGE past the limits above. */
MUST err_t smtp_reply_parse(struct slice in, struct smtp_reply *, size_t *took);

/* Cut the next line off `*rest` (start with reply->raw); `*text` is what follows the code. False at the end. */
bool smtp_reply_line(struct slice *rest, struct slice *text);

/* "550 5.1.1 No such user here" with lines joined by " / ", escaped for a terminal, cut at cap. Returns `out`. */
char *smtp_reply_text(const struct smtp_reply *, char *out, size_t cap);

/* An enhanced status code at the start of `text`: "5.1.1 rest". False when there is none. */
bool smtp_enhanced_parse(struct slice text, struct smtp_enhanced *);
