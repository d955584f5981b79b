/* SPDX-License-Identifier: MIT */
#include "http/h1_format.h"

#include "http/fields.h"
#include "http/status.h"

err_t h1_format_status_line(struct buf *b, uint16_t status, struct slice reason)
{
    struct slice known = status_line(status);
    if (known.n && (!reason.n || slice_eq(reason, slice_of(known.p + 13, known.n - 15)))) /* as it is usual */
        return buf_add(b, known);
    if (!fields_value_ok(reason) || status < 100 || status > 999)
        return fault(E_INTERNAL, "a status line that cannot be sent");
    TRY(buf_format(b, "HTTP/1.1 %u ", status));
    TRY(buf_add(b, reason));
    return buf_add(b, S("\r\n"));
}

char *h1_put_field(char *at, struct slice name, struct slice value)
{
    return slice_put(slice_put(slice_put(slice_put(at, name), S(": ")), value), S("\r\n"));
}

bool h1_field_check(const struct http_field *f)
{
    /* A name that is known is a token. */
    return (f->id != F_OTHER || fields_name_ok(f->name)) && fields_value_ok(f->value);
}

/* Does it stand in the message that it was parsed out of as it would be written? Most do. */
static inline bool as_written(const struct http_field *f)
{
    const char *behind = f->name.p + f->name.n;
    return f->checked && f->value.p == behind + 2 && memcmp(behind, ": ", 2) == 0;
}

char *h1_put_fields(char *at, const struct http_field *f, uint16_t n)
{
    for (const struct http_field *end = f + n; f < end;) {
        if (!as_written(f)) {
            at = h1_put_field(at, f->name, f->value);
            f++;
            continue;
        }
        const char *from = f->name.p, *to = f->value.p + f->value.n;
        while (++f < end && f->name.p == to + 2 && memcmp(to, "\r\n", 2) == 0 && as_written(f)) /* right behind it */
            to = f->value.p + f->value.n;
        at = slice_put(slice_put(at, slice_of(from, (size_t)(to - from))), S("\r\n"));
    }
    return at;
}

err_t h1_format_field(struct buf *b, struct slice name, struct slice value)
{
    struct http_field one = {.name = name, .value = value};
    return h1_format_fields(b, &(struct http_fields){.v = &one, .n = 1});
}

err_t h1_format_fields(struct buf *b, const struct http_fields *f)
{
    size_t n = 0;
    char *at;
    for (uint16_t i = 0; i < f->n; i++) {
        if (!h1_field_ok(&f->v[i]))
            return fault(E_INTERNAL, "a header field that cannot be sent");
        n += f->v[i].name.n + f->v[i].value.n + 4;
    }
    TRY(buf_room(b, n, &at));
    h1_put_fields(at, f->v, f->n);
    b->n += n;
    return NULL;
}

err_t h1_format_end(struct buf *b)
{
    return buf_add(b, S("\r\n"));
}
