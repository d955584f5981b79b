/* SPDX-License-Identifier: MIT */
/* Replies of a server, and what EHLO's offers: limits hold, lines lie within, an unfinished reply stays unfinished. */
#include "base/check.h"
#include "smtp/caps_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_reply r, again;
    struct smtp_caps caps;
    size_t took, less;
    char text[100];
    if (smtp_reply_parse(slice_of(data, size), &r, &took) || !took)
        return 0;
    CHECK(took <= size && took <= SMTP_REPLY_MAX && r.raw.n == took && r.code >= 200 && r.code < 600);
    CHECK(!smtp_reply_parse(slice_of(data, took - 1), &again, &less) && less == 0);
    CHECK(strlen(smtp_reply_text(&r, text, sizeof text)) < sizeof text);
    smtp_caps_parse(&r, &caps);
    CHECK(strlen(caps.mechanisms) < sizeof caps.mechanisms);
    return 0;
}
