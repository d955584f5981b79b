/* SPDX-License-Identifier: MIT */
/* header_param.c -- parameters of Content-Type and Content-Disposition (RFC 2045, RFC 2231). */
#include "base/text.h"
#include "smtp/header_format.h"

enum { PLAIN_MAX = 60, PIECE = 60 };

/* RFC 2231 section 7: attribute-char. */
static bool attribute_char(char c)
{
    return ascii_alpha(c) || ascii_digit(c) || (c && strchr("!#$&+-.^_`{|}~", c));
}

static err_t add_plain(struct buf *b, const char *param, struct slice value)
{
    TRY(buf_format(b, ";\r\n %s=\"", param));
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c == '"' || c == '\\')
            TRY(buf_add_char(b, '\\'));
        TRY(buf_add_char(b, c));
    }
    return buf_add_char(b, '"');
}

/* name*=UTF-8''...; or name*0*=..., name*1*=... on lines of their own (sections 3 and 4). */
static err_t add_extended(struct buf *b, const char *param, struct slice value)
{
    size_t size = 0;
    for (size_t i = 0; i < value.n; i++)
        size += attribute_char(value.p[i]) ? 1 : 3;
    bool split = size > PIECE;
    size_t used = 0;
    unsigned piece = 0;
    TRY(buf_format(b, split ? ";\r\n %s*0*=UTF-8''" : ";\r\n %s*=UTF-8''", param));
    for (size_t i = 0; i < value.n; i++) {
        bool plain = attribute_char(value.p[i]);
        if (split && used + 3 > PIECE - 12) {
            TRY(buf_format(b, ";\r\n %s*%u*=", param, ++piece));
            used = 0;
        }
        used += plain ? 1 : 3;
        if (plain)
            TRY(buf_add_char(b, value.p[i]));
        else
            TRY(buf_format(b, "%%%02X", (uint8_t)value.p[i]));
    }
    return NULL;
}

/* Letters that every reader can show: what is not ASCII becomes '_', the end of a long name (its type) is kept. */
static err_t add_likeness(struct buf *b, const char *param, struct slice value)
{
    char out[PLAIN_MAX];
    size_t n = 0, chars = 0;
    for (size_t i = 0; i < value.n; i++)
        chars += ((uint8_t)value.p[i] & 0xc0) != 0x80;
    for (size_t i = 0, k = 0; i < value.n; i++) {
        if (((uint8_t)value.p[i] & 0xc0) == 0x80)
            continue;
        bool keep = chars <= sizeof out || k < 40 || k >= chars - 20;
        if (keep && n < sizeof out)
            out[n++] = (uint8_t)value.p[i] >= 0x80 || strchr("\"\\%", value.p[i]) ? '_' : value.p[i];
        k++;
    }
    return add_plain(b, param, slice_of(out, n));
}

err_t header_param(struct buf *b, const char *param, struct slice value, const char *field)
{
    TRY(header_value_check(value, field));
    if (slice_has(value, '\t'))
        return fault(E_DATA, "%s: a tab inside is not allowed", field);
    if (smtp_is_ascii(value) && value.n <= PLAIN_MAX)
        return add_plain(b, param, value);
    TRY(add_extended(b, param, value));
    return add_likeness(b, param, value);
}
