/* SPDX-License-Identifier: MIT */
#include "http/basic.h"

#include "base/buf.h"
#include "base/text.h"

struct slice basic_pair(struct arena *a, struct slice pair)
{
    AUTO(buf_free) struct buf b = {0};
    if (buf_add(&b, S("Basic ")) || text_base64_add(&b, pair))
        return SLICE_NONE;
    return arena_copy(a, buf_slice(&b));
}

struct slice basic_userinfo(struct arena *a, struct slice userinfo)
{
    AUTO(buf_free) struct buf plain = {0};
    if (text_percent_decode(userinfo, &plain))
        return SLICE_NONE;
    if (!slice_has(userinfo, ':') && buf_add_char(&plain, ':'))
        return SLICE_NONE;
    return basic_pair(a, buf_slice(&plain));
}
