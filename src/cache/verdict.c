/* SPDX-License-Identifier: MIT */
#include "cache/verdict.h"

#include <stdio.h>

const char *verdict_fwd_text(enum verdict_fwd fwd)
{
    static const char *const text[] = {"hit",       "bypass",  "method", "uri-miss",
                                       "vary-miss", "request", "stale",  "partial"};
    return text[fwd];
}

static char *put(char *at, const char *text)
{
    size_t n = strlen(text);
    memcpy(at, text, n);
    return at + n;
}

static char *put_number(char *at, int64_t v)
{
    char room[SLICE_U64];
    if (v < 0)
        *at++ = '-';
    struct slice digits = slice_of_u64(v < 0 ? (uint64_t)-v : (uint64_t)v, room);
    memcpy(at, digits.p, digits.n);
    return at + digits.n;
}

/* Written by hand: this is on the path of every hit. */
size_t verdict_format(const struct verdict *v, char out[VERDICT_ROOM])
{
    char *at = put(out, v->fwd == VERDICT_HIT ? "l7; hit" : "l7; fwd=");
    if (v->fwd != VERDICT_HIT) {
        at = put(at, verdict_fwd_text(v->fwd));
        if (v->fwd_status)
            at = put_number(put(at, "; fwd-status="), v->fwd_status);
        if (v->stored)
            at = put(at, "; stored");
        if (v->collapsed)
            at = put(at, v->collapsed > 0 ? "; collapsed" : "; collapsed=?0");
    }
    if (v->has_ttl)
        at = put_number(put(at, "; ttl="), v->ttl);
    if (v->detail)
        at = put(put(at, "; detail="), v->detail);
    return (size_t)(at - out);
}
