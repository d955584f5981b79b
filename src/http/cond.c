/* SPDX-License-Identifier: MIT */
#include "http/cond.h"

#include "http/date.h"
#include "http/fields.h"

static bool is_weak(struct slice t)
{
    return slice_starts(t, S("W/"));
}

static struct slice opaque(struct slice t)
{
    return is_weak(t) ? slice_from(t, 2) : t;
}

bool etag_valid(struct slice t)
{
    struct slice o = opaque(t);
    if (o.n < 2 || o.p[0] != '"' || o.p[o.n - 1] != '"')
        return false;
    for (size_t i = 1; i + 1 < o.n; i++) {
        unsigned char c = (unsigned char)o.p[i];
        if (c <= 0x20 || c == '"' || c == 0x7f)
            return false;
    }
    return true;
}

bool etag_weak_eq(struct slice a, struct slice b)
{
    return etag_valid(a) && slice_eq(opaque(a), opaque(b));
}

bool etag_strong_eq(struct slice a, struct slice b)
{
    return !is_weak(a) && !is_weak(b) && etag_valid(a) && slice_eq(a, b);
}

/* An entity tag may hold a comma and has no escapes, so it is not a list element like others: cut it by its quotes. */
static bool cut_tag(struct slice *rest, struct slice *tag)
{
    while (rest->n && (rest->p[0] == ' ' || rest->p[0] == '\t' || rest->p[0] == ','))
        *rest = slice_from(*rest, 1);
    size_t open = is_weak(*rest) ? 2 : 0;
    if (rest->n <= open || rest->p[open] != '"')
        return false;
    size_t close = slice_find(*rest, '"', open + 1);
    if (close == SIZE_MAX)
        return false;
    *tag = slice_first(*rest, close + 1);
    *rest = slice_from(*rest, close + 1);
    return true;
}

/* Does any tag of these lines match, or "*" an existing representation? */
static bool matches(const struct http_fields *f, enum http_field_id id, const struct cond_resource *r,
                    bool (*eq)(struct slice, struct slice))
{
    uint16_t at = 0;
    struct slice line, tag;
    while (fields_line(f, id, &at, &line)) {
        if (slice_eq(line, S("*")))
            return r->exists;
        while (cut_tag(&line, &tag))
            if (r->exists && r->etag.n && eq(tag, r->etag))
                return true;
    }
    return false;
}

/* The date of a field, if it has exactly one and that is valid; otherwise the field is ignored. */
static bool date_of(const struct http_fields *f, enum http_field_id id, int64_t now_s, int64_t *out)
{
    struct slice value;
    return fields_only(f, id, &value) && date_parse(value, now_s, out);
}

enum cond_result cond_check(const struct http_fields *f, enum http_method m, const struct cond_resource *r,
                            int64_t now_s)
{
    bool reading = m == M_GET || m == M_HEAD;
    int64_t t;
    if (fields_has(f, F_IF_MATCH)) { /* step 1 */
        if (!matches(f, F_IF_MATCH, r, etag_strong_eq))
            return COND_FAILED;
    } else if (date_of(f, F_IF_UNMODIFIED_SINCE, now_s, &t) && r->has_modified && r->modified_s > t) { /* step 2 */
        return COND_FAILED;
    }
    if (fields_has(f, F_IF_NONE_MATCH)) { /* step 3 */
        if (matches(f, F_IF_NONE_MATCH, r, etag_weak_eq))
            return reading ? COND_NOT_MODIFIED : COND_FAILED;
    } else if (reading && date_of(f, F_IF_MODIFIED_SINCE, now_s, &t) && r->has_modified && r->modified_s <= t) {
        return COND_NOT_MODIFIED; /* step 4 */
    }
    return COND_GO_ON;
}

bool cond_range_allowed(const struct http_fields *f, const struct cond_resource *r, int64_t now_s)
{
    int64_t t;
    if (!fields_has(f, F_IF_RANGE))
        return true;
    if (fields_count(f, F_IF_RANGE) > 1)
        return false;
    struct slice v = fields_get(f, F_IF_RANGE);
    if (slice_starts(v, S("\"")) || is_weak(v))
        return r->etag.n && etag_strong_eq(v, r->etag);
    /* A date must match exactly, and is a strong validator only when the representation has rested for a second
       (section 8.8.2.2). */
    return r->has_modified && date_parse(v, now_s, &t) && t == r->modified_s && now_s - t >= 1;
}
