/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include <math.h>

#include "base/check.h"
#include "base/text.h"

struct json json_start(struct buf *out)
{
    return (struct json){.out = out};
}

static void put(struct json *j, struct slice s)
{
    if (!j->err)
        j->err = buf_add(j->out, s);
}

static void before_value(struct json *j)
{
    if (j->comma >> j->depth & 1)
        put(j, S(","));
    j->comma |= 1u << j->depth;
}

void json_open(struct json *j, char bracket)
{
    before_value(j);
    put(j, slice_of(&bracket, 1));
    CHECK(j->depth < 31);
    j->depth++;
    j->comma &= ~(1u << j->depth);
}

void json_close(struct json *j, char bracket)
{
    CHECK(j->depth > 0);
    j->depth--;
    put(j, slice_of(&bracket, 1));
}

static size_t clean_run(struct slice s)
{
    size_t n = 0;
    while (n < s.n && (uint8_t)s.p[n] >= 0x20 && (uint8_t)s.p[n] < 0x7f && s.p[n] != '"' && s.p[n] != '\\')
        n++;
    return n;
}

static size_t escape_one(struct json *j, struct slice s)
{
    uint8_t c = (uint8_t)s.p[0];
    if (c == '"' || c == '\\') {
        put(j, S("\\"));
        put(j, slice_first(s, 1));
    } else if (c == '\n') {
        put(j, S("\\n"));
    } else if (c == '\r') {
        put(j, S("\\r"));
    } else if (c == '\t') {
        put(j, S("\\t"));
    } else if (c < 0x80) {
        if (!j->err)
            j->err = buf_format(j->out, "\\u%04x", c);
    } else {
        for (size_t len = 2; len <= 4 && len <= s.n; len++)
            if (text_utf8_valid(slice_first(s, len))) {
                put(j, slice_first(s, len));
                return len;
            }
        put(j, S("\xef\xbf\xbd"));
    }
    return 1;
}

static void quoted(struct json *j, struct slice s)
{
    put(j, S("\""));
    while (s.n) {
        size_t n = clean_run(s);
        put(j, slice_first(s, n));
        s = slice_from(s, n);
        if (s.n)
            s = slice_from(s, escape_one(j, s));
    }
    put(j, S("\""));
}

void json_key_slice(struct json *j, struct slice key)
{
    before_value(j);
    quoted(j, key);
    put(j, S(":"));
    j->comma &= ~(1u << j->depth); /* the value follows the colon */
}

void json_key(struct json *j, const char *key)
{
    json_key_slice(j, slice_z(key));
}

void json_string(struct json *j, struct slice s)
{
    before_value(j);
    quoted(j, s);
}

void json_int(struct json *j, int64_t v)
{
    before_value(j);
    if (!j->err)
        j->err = buf_format(j->out, "%lld", (long long)v);
}

void json_uint(struct json *j, uint64_t v)
{
    before_value(j);
    if (!j->err)
        j->err = buf_format(j->out, "%llu", (unsigned long long)v);
}

void json_real(struct json *j, double value, int decimals)
{
    before_value(j);
    if (!isfinite(value))
        put(j, S("null"));
    else if (!j->err)
        j->err = buf_format(j->out, "%.*f", decimals, value);
}

void json_digits(struct json *j, double value, int digits)
{
    before_value(j);
    if (!isfinite(value))
        put(j, S("null"));
    else if (!j->err)
        j->err = buf_format(j->out, "%.*g", digits, value);
}

void json_bool(struct json *j, bool v)
{
    before_value(j);
    put(j, v ? S("true") : S("false"));
}

void json_null(struct json *j)
{
    before_value(j);
    put(j, S("null"));
}

err_t json_end_line(struct json *j)
{
    CHECK(j->depth == 0);
    put(j, S("\n"));
    return j->err;
}
