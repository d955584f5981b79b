/* SPDX-License-Identifier: MIT */
#include "smtp/fields_parse.h"

#include "smtp/header_format.h"

/* Length of the line at `from` with its end; the last one may have none. */
static size_t line_size(struct slice s, size_t from)
{
    size_t lf = slice_find(s, '\n', from);
    return (lf == SIZE_MAX ? s.n : lf + 1) - from;
}

static bool is_blank(struct slice s, size_t from)
{
    struct slice line = slice_first(slice_from(s, from), line_size(s, from));
    return slice_eq(line, S("\n")) || slice_eq(line, S("\r\n"));
}

bool smtp_field_next(struct slice *rest, struct smtp_field *f)
{
    if (rest->n == 0)
        return false;
    if (is_blank(*rest, 0)) {
        *rest = slice_from(*rest, line_size(*rest, 0));
        return false;
    }
    size_t end = line_size(*rest, 0), colon = slice_find(*rest, ':', 0);
    if (colon >= end)
        return false;
    f->name = slice_trim(slice_first(*rest, colon));
    if (!header_name_valid(f->name) || rest->p[0] == ' ' || rest->p[0] == '\t')
        return false;
    while (end < rest->n && (rest->p[end] == ' ' || rest->p[end] == '\t'))
        end += line_size(*rest, end);
    f->raw = slice_first(*rest, end);
    f->value = slice_from(f->raw, colon + 1);
    *rest = slice_from(*rest, end);
    return true;
}

struct slice smtp_field_unfold(struct arena *a, struct slice value)
{
    char *out = arena_new(a, value.n + 1, 1);
    size_t n = 0;
    if (!out)
        return SLICE_NONE;
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] != '\r' && value.p[i] != '\n')
            out[n++] = value.p[i];
    out[n] = 0;
    return slice_trim(slice_of(out, n));
}
