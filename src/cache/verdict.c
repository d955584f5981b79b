/* SPDX-License-Identifier: MIT */
#include "cache/verdict.h"

#include <stdio.h>

const char *verdict_fwd_text(enum verdict_fwd fwd)
{
    static const char *const text[] = {"hit",       "bypass",  "method", "uri-miss",
                                       "vary-miss", "request", "stale",  "partial"};
    return text[fwd];
}

static char *put_number(char *at, int64_t v)
{
    char room[SLICE_U64];
    if (v < 0)
        *at++ = '-';
    return slice_put(at, slice_of_u64(v < 0 ? (uint64_t)-v : (uint64_t)v, room));
}

/* Written by hand: this is on the path of every hit. */
size_t verdict_format(const struct verdict *v, char out[VERDICT_ROOM])
{
    char *at = out;
    if (v->fwd == VERDICT_HIT) {
        at = slice_put(at, S("l7; hit"));
    } else {
        at = slice_put(slice_put(at, S("l7; fwd=")), slice_z(verdict_fwd_text(v->fwd)));
        if (v->fwd_status)
            at = put_number(slice_put(at, S("; fwd-status=")), v->fwd_status);
        if (v->stored)
            at = slice_put(at, S("; stored"));
        if (v->collapsed)
            at = slice_put(at, v->collapsed > 0 ? S("; collapsed") : S("; collapsed=?0"));
    }
    if (v->has_ttl)
        at = put_number(slice_put(at, S("; ttl=")), v->ttl);
    if (v->detail)
        at = slice_put(slice_put(at, S("; detail=")), slice_z(v->detail));
    return (size_t)(at - out);
}
