/* SPDX-License-Identifier: MIT */
#include "app/get/form.h"

#include "http/media.h"

/* Text in double quotes, where \" and \\ stand for " and \, and behind which nothing or a ; follows, is taken off
   `rest`; anything else is left alone. */
static err_t quoted(struct arena *a, struct slice *rest, struct slice *out, bool *was)
{
    AUTO(buf_free) struct buf b = {0};
    struct slice s = slice_trim(*rest);
    size_t i = 1;
    *was = false;
    if (!slice_starts(s, S("\"")))
        return NULL;
    for (; i < s.n && s.p[i] != '"'; i++) {
        i += s.p[i] == '\\' && i + 1 < s.n && (s.p[i + 1] == '"' || s.p[i + 1] == '\\');
        TRY(buf_add_char(&b, s.p[i]));
    }
    struct slice behind = slice_trim(slice_from(s, i < s.n ? i + 1 : s.n));
    if (i >= s.n || (behind.n && behind.p[0] != ';'))
        return NULL;
    *was = true;
    *rest = behind;
    *out = arena_copy(a, buf_slice(&b));
    return out->p ? NULL : E_NO_MEMORY;
}

static bool is_parameter(struct slice s)
{
    return slice_starts_case(s, S("type=")) || slice_starts_case(s, S("filename="));
}

/* ";type=..." and ";filename=..."; a type has parameters of its own (";charset=utf-8"), which stay with it. */
static err_t parameters(struct arena *a, struct slice rest, struct form_part *p)
{
    while (rest.n) {
        rest = slice_trim(slice_from(rest, 1)); /* the ; */
        bool type = slice_starts_case(rest, S("type=")), was;
        if (!is_parameter(rest))
            return fault(E_USAGE, "-F: ';%.*s': type= or filename= is wanted", SLICE_ARG(rest));
        struct slice *out = type ? &p->type : &p->filename;
        rest = slice_from(rest, slice_find(rest, '=', 0) + 1);
        TRY(quoted(a, &rest, out, &was));
        if (was)
            continue;
        size_t end = slice_find(rest, ';', 0);
        while (type && end != SIZE_MAX && !is_parameter(slice_trim(slice_from(rest, end + 1))))
            end = slice_find(rest, ';', end + 1);
        *out = slice_trim(slice_first(rest, end));
        rest = slice_from(rest, end < rest.n ? end : rest.n);
    }
    return NULL;
}

/* What stands behind a path or a value. Other text with a ; stays a part of it, which curl drops with a warning. */
static err_t cut_parameters(struct arena *a, struct form_part *p)
{
    struct slice v = p->value;
    bool was;
    TRY(quoted(a, &v, &p->value, &was));
    if (was)
        return parameters(a, v, p);
    for (size_t at = slice_find(v, ';', 0); at != SIZE_MAX; at = slice_find(v, ';', at + 1)) {
        if (!is_parameter(slice_trim(slice_from(v, at + 1))))
            continue;
        p->value = slice_first(v, at);
        return parameters(a, slice_from(v, at), p);
    }
    return NULL;
}

static struct slice base_name(struct slice path)
{
    for (size_t i = path.n; i-- > 0;)
        if (path.p[i] == '/')
            return slice_from(path, i + 1);
    return path;
}

err_t form_parse(struct arena *a, struct slice spec, bool literal, struct form_part *out)
{
    struct form_part p = {0};
    size_t eq = slice_find(spec, '=', 0);
    if (eq == SIZE_MAX || eq == 0)
        return fault(E_USAGE, "-F '%.*s': NAME=VALUE is wanted", SLICE_ARG(spec));
    p.name = slice_first(spec, eq);
    p.value = slice_from(spec, eq + 1);
    if (!literal && p.value.n && (p.value.p[0] == '@' || p.value.p[0] == '<')) {
        p.source = p.value.p[0] == '@' ? FORM_UPLOAD : FORM_CONTENT;
        p.value = slice_from(p.value, 1);
    }
    if (!literal)
        TRY(cut_parameters(a, &p));
    if (p.source == FORM_UPLOAD && p.filename.n == 0)
        p.filename = base_name(p.value);
    *out = p;
    return NULL;
}

void form_boundary(const uint8_t random[12], char out[FORM_BOUNDARY + 1])
{
    for (int i = 0; i < 12; i++) {
        out[2 * i] = "0123456789abcdef"[random[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[random[i] & 15];
    }
    out[FORM_BOUNDARY] = 0;
}

/* Names as browsers write them (the HTML standard's "escape a form-data entry name"). */
static err_t add_quoted(struct buf *out, struct slice s)
{
    TRY(buf_add_char(out, '"'));
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"')
            TRY(buf_add(out, S("%22")));
        else if (s.p[i] == '\r')
            TRY(buf_add(out, S("%0D")));
        else if (s.p[i] == '\n')
            TRY(buf_add(out, S("%0A")));
        else
            TRY(buf_add_char(out, s.p[i]));
    }
    return buf_add_char(out, '"');
}

err_t form_head(const struct form_part *p, const char *boundary, bool first, struct buf *out)
{
    struct slice type = p->type;
    if (type.n == 0 && p->source == FORM_UPLOAD) {
        type = media_type(p->filename);
        type = slice_first(type, slice_find(type, ';', 0)); /* its charset is anybody's guess */
    }
    for (size_t i = 0; i < type.n; i++)
        if ((unsigned char)type.p[i] < 0x20)
            return fault(E_USAGE, "-F: a control character in a type");
    TRY(buf_format(out, "%s--%s\r\nContent-Disposition: form-data; name=", first ? "" : "\r\n", boundary));
    TRY(add_quoted(out, p->name));
    if (p->filename.n) {
        TRY(buf_add(out, S("; filename=")));
        TRY(add_quoted(out, p->filename));
    }
    if (type.n)
        TRY(buf_format(out, "\r\nContent-Type: %.*s", SLICE_ARG(type)));
    return buf_add(out, S("\r\n\r\n"));
}

err_t form_end(const char *boundary, struct buf *out)
{
    return buf_format(out, "\r\n--%s--\r\n", boundary);
}
