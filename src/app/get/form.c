/* SPDX-License-Identifier: MIT */
#include "app/get/form.h"

/* ";type=..." and ";filename=..." behind a path or a value; other text stays a part of it, as in curl. */
static void cut_parameters(struct form_part *p)
{
    struct slice v = p->value;
    for (size_t at = slice_find(v, ';', 0); at != SIZE_MAX; at = slice_find(v, ';', at + 1)) {
        struct slice rest = slice_trim(slice_from(v, at + 1)), one = rest;
        if (!slice_starts_case(rest, S("type=")) && !slice_starts_case(rest, S("filename=")))
            continue;
        p->value = slice_first(v, at);
        while (slice_cut(&rest, ';', &one)) {
            one = slice_trim(one);
            if (slice_starts_case(one, S("type=")))
                p->type = slice_from(one, sizeof "type=" - 1);
            else if (slice_starts_case(one, S("filename=")))
                p->filename = slice_from(one, sizeof "filename=" - 1);
        }
        return;
    }
}

static struct slice base_name(struct slice path)
{
    for (size_t i = path.n; i-- > 0;)
        if (path.p[i] == '/')
            return slice_from(path, i + 1);
    return path;
}

err_t form_parse(struct slice spec, bool literal, struct form_part *out)
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
        cut_parameters(&p);
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
    if (type.n == 0 && p->source == FORM_UPLOAD)
        type = S("application/octet-stream");
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
