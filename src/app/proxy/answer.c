/* SPDX-License-Identifier: MIT */
/*
 * answer.c -- answers made from stored responses: whole, 304, 206 and 416. The common case, a whole fresh object for
 * a plain GET, copies its finished head, appends Age and Cache-Status, and leaves in one write.
 */
#include "app/proxy/internal.h"

#include "base/check.h"
#include "base/stat.h"
#include "http/date.h"
#include "http/fresh.h"

enum { EXTRA_ROOM = 32 + VERDICT_ROOM };

/* ---- The client's own conditions (RFC 9110 section 13, as RFC 9111 section 4.3.2 applies them to a cache) ---- */

static bool etag_listed(const struct http_fields *request, struct slice etag)
{
    struct fields_list walk = {.fields = request, .id = F_IF_NONE_MATCH};
    for (struct slice one; fields_element(&walk, &one);)
        if (slice_eq(one, S("*")) || fresh_etag_eq(one, etag, false))
            return true;
    return false;
}

static int64_t modified_at(const struct cache_object *o)
{
    int64_t at;
    return date_parse(fields_get(&o->fields, F_LAST_MODIFIED), o->info.date, &at) ? at : o->info.date;
}

bool answer_not_modified(const struct job *j, const struct cache_object *o)
{
    const struct http_fields *f = &j->in->fields;
    int64_t since;
    if (o->info.status != 200)
        return false;
    if (fields_has(f, F_IF_NONE_MATCH)) /* goes before If-Modified-Since */
        return etag_listed(f, o->etag);
    return fields_has(f, F_IF_MODIFIED_SINCE) &&
           date_parse(fields_get(f, F_IF_MODIFIED_SINCE), wall_now() / TICK_S, &since) && modified_at(o) <= since;
}

/* ---- Ranges (RFC 9110 section 14) ---- */

enum wanted { WANT_ALL, WANT_RANGE, WANT_NONE }; /* NONE: no byte of it exists, 416 */
struct range {
    uint64_t from, n;
};

/* One range; several are answered with the whole, as section 14.2 allows. */
static enum wanted parse_range(struct slice value, uint64_t length, struct range *out)
{
    if (!slice_starts_case(value, S("bytes=")) || slice_has(value, ','))
        return WANT_ALL;
    struct slice spec = slice_trim(slice_from(value, 6));
    size_t dash = slice_find(spec, '-', 0);
    uint64_t first = 0, last = UINT64_MAX;
    if (dash == SIZE_MAX)
        return WANT_ALL;
    struct slice a = slice_first(spec, dash), b = slice_from(spec, dash + 1);
    if ((a.n && !slice_u64(a, &first)) || (b.n && !slice_u64(b, &last)) || (!a.n && !b.n))
        return WANT_ALL;
    if (a.n && b.n && last < first)
        return WANT_ALL;
    if (!a.n) { /* the last so many bytes */
        if (!last || !length)
            return WANT_NONE;
        first = last < length ? length - last : 0;
        last = length - 1;
    }
    if (first >= length)
        return WANT_NONE;
    last = last < length - 1 ? last : length - 1;
    *out = (struct range){first, last - first + 1};
    return WANT_RANGE;
}

/* If-Range: the strong validator of the object, or the Range is void (section 13.1.5). */
static bool if_range_holds(const struct http_fields *f, const struct cache_object *o)
{
    if (!fields_has(f, F_IF_RANGE))
        return true;
    struct slice v = fields_get(f, F_IF_RANGE);
    if (slice_starts(v, S("\"")) || slice_starts(v, S("W/")))
        return fresh_etag_eq(v, o->etag, true);
    int64_t modified;
    /* A date is strong when it is a minute older than the response (section 8.8.2.2). */
    return slice_eq(v, fields_get(&o->fields, F_LAST_MODIFIED)) &&
           date_parse(v, o->info.date, &modified) && o->info.date - modified >= 60;
}

static enum wanted wanted_range(const struct job *j, const struct cache_object *o, struct range *out)
{
    if (!j->ask.range || o->info.status != 200 || !o->body || o->body->length == CACHE_LENGTH_UNKNOWN ||
        !if_range_holds(&j->in->fields, o))
        return WANT_ALL;
    return parse_range(fields_get(&j->in->fields, F_RANGE), o->body->length, out);
}

bool answer_covers(const struct job *j, const struct cache_object *o)
{
    struct range r;
    if (!o->partial)
        return true;
    switch (wanted_range(j, o, &r)) {
    case WANT_RANGE:
        return cache_body_has(o->body, r.from, r.n);
    case WANT_NONE:
        return true;
    default:
        return false;
    }
}

/* ---- Heads ---- */

static char *put(char *at, struct slice s)
{
    memcpy(at, s.p, s.n);
    return at + s.n;
}

static struct slice decimal(char *end, uint64_t v)
{
    char *at = end;
    do
        *--at = (char)('0' + v % 10);
    while (v /= 10);
    return slice_of(at, (size_t)(end - at));
}

/* The whole head of a hit as lines and as fields, in the arena. */
static err_t ready_head(struct job *j, const struct cache_object *o, int64_t age, struct http_response *r)
{
    char digits[24];
    struct slice age_text = decimal(digits + sizeof digits, (uint64_t)age);
    char *lines = arena_new(j->arena, o->head.n + EXTRA_ROOM, 1);
    struct http_field *v = ARENA_ARRAY(j->arena, struct http_field, (size_t)o->fields.n + 2);
    if (!lines || !v)
        return E_NO_MEMORY;
    char *at = put(put(lines, o->head), S("Age: "));
    struct slice age_field = slice_of(at, age_text.n);
    at = put(put(put(at, age_text), S("\r\n")), S("Cache-Status: "));
    struct slice status_field = slice_of(at, verdict_format(&j->verdict, at));
    at = put(at + status_field.n, S("\r\n"));
    j->ex->note = status_field;
    memcpy(v, o->fields.v, o->fields.n * sizeof *v);
    r->status = o->info.status;
    r->fields = (struct http_fields){.v = v, .n = o->fields.n, .cap = (uint16_t)(o->fields.n + 2)};
    memcpy(r->fields.has, o->fields.has, sizeof r->fields.has);
    if (!fields_push(&r->fields, S("Age"), age_field) || !fields_push(&r->fields, S("Cache-Status"), status_field))
        return E_NO_MEMORY;
    r->lines = slice_of(lines, (size_t)(at - lines));
    return NULL;
}

err_t answer_head(struct job *j, uint16_t status, struct slice reason, struct http_fields *f, tick until)
{
    struct http_response r = {.status = status, .reason = reason};
    job_note(j);
    if (j->p->memory && !fields_add_id(j->arena, f, F_CACHE_STATUS, j->ex->note))
        return E_NO_MEMORY;
    if (j->route == ROUTE_ADDRESS)
        TRY(address_rewrite(j, f));
    r.fields = *f;
    return reply_head(j->ex, &r, until);
}

/* The stored fields, to be changed: for 304, 206, 416 and the address form. */
static err_t copied_fields(struct job *j, const struct cache_object *o, int64_t age, bool (*keep)(uint8_t id),
                           struct http_fields *out)
{
    for (uint16_t i = 0; i < o->fields.n; i++)
        if (!keep || keep(o->fields.v[i].id))
            if (!fields_add(j->arena, out, o->fields.v[i].name, o->fields.v[i].value))
                return E_NO_MEMORY;
    struct slice text = arena_format(j->arena, "%lld", (long long)age);
    return text.p && fields_add_id(j->arena, out, F_AGE, text) ? NULL : E_NO_MEMORY;
}

static bool not_length(uint8_t id)
{
    return id != F_CONTENT_LENGTH;
}

/* ---- Answers ---- */

static err_t send_bytes(struct job *j, const struct cache_object *o, uint64_t from, uint64_t n, tick until)
{
    while (n) {
        struct slice s = cache_body_at(o->body, from);
        CHECK(s.n);
        s = slice_first(s, n < SIZE_MAX ? (size_t)n : SIZE_MAX);
        TRY(reply_body(j->ex, s, until));
        from += s.n, n -= s.n;
    }
    return reply_end(j->ex, until);
}

static err_t answer_304(struct job *j, const struct cache_object *o, int64_t age, tick until)
{
    struct http_fields f = {0};
    TRY(copied_fields(j, o, age, not_length, &f));
    TRY(answer_head(j, 304, SLICE_NONE, &f, until));
    return reply_end(j->ex, until);
}

static err_t answer_206(struct job *j, const struct cache_object *o, int64_t age, struct range r, tick until)
{
    struct http_fields f = {0};
    TRY(copied_fields(j, o, age, not_length, &f));
    struct slice range = arena_format(j->arena, "bytes %llu-%llu/%llu", (unsigned long long)r.from,
                                      (unsigned long long)(r.from + r.n - 1), (unsigned long long)o->body->length);
    struct slice length = arena_format(j->arena, "%llu", (unsigned long long)r.n);
    if (!range.p || !length.p || !fields_add_id(j->arena, &f, F_CONTENT_RANGE, range) ||
        !fields_add_id(j->arena, &f, F_CONTENT_LENGTH, length))
        return E_NO_MEMORY;
    TRY(answer_head(j, 206, SLICE_NONE, &f, until));
    return send_bytes(j, o, r.from, r.n, until);
}

static err_t answer_416(struct job *j, const struct cache_object *o, tick until)
{
    struct http_fields f = {0};
    struct slice range = arena_format(j->arena, "bytes */%llu", (unsigned long long)o->body->length);
    if (!range.p || !fields_add_id(j->arena, &f, F_CONTENT_RANGE, range) ||
        !fields_add_id(j->arena, &f, F_CONTENT_LENGTH, S("0")))
        return E_NO_MEMORY;
    TRY(answer_head(j, 416, SLICE_NONE, &f, until));
    return reply_end(j->ex, until);
}

static err_t answer_whole(struct job *j, const struct cache_object *o, int64_t age, tick until)
{
    if (j->route == ROUTE_ADDRESS) {
        struct http_fields f = {0};
        TRY(copied_fields(j, o, age, NULL, &f));
        TRY(answer_head(j, o->info.status, SLICE_NONE, &f, until));
    } else {
        struct http_response r = {0};
        TRY(ready_head(j, o, age, &r));
        TRY(reply_head(j->ex, &r, until));
    }
    return o->body ? send_bytes(j, o, 0, o->body->length, until) : reply_end(j->ex, until);
}

err_t answer_stored(struct job *j, struct cache_object *o, tick until)
{
    int64_t age = fresh_age(&o->info, wall_now());
    if (j->verdict.fwd == VERDICT_HIT)
        stat_add(STAT_CACHE_HITS, 1);
    if (j->ask.conditional && answer_not_modified(j, o))
        return answer_304(j, o, age, until);
    if (j->ask.range) {
        struct range r = {0};
        enum wanted w = wanted_range(j, o, &r);
        if (w == WANT_RANGE)
            return answer_206(j, o, age, r, until);
        if (w == WANT_NONE)
            return answer_416(j, o, until);
    }
    return answer_whole(j, o, age, until);
}
