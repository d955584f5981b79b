/* SPDX-License-Identifier: MIT */
/*
 * answer.c -- answers made from stored responses: whole, 304, 206 and 416. The common case, a whole fresh object for
 * a plain GET, takes the finished head where it is, writes Age and Cache-Status, and leaves in one write.
 */
#include "app/proxy/internal.h"

#include "base/check.h"
#include "base/random.h"
#include "base/stat.h"
#include "http/byteranges.h"
#include "http/cond.h"
#include "http/date.h"

enum { EXTRA_ROOM = 64 + VERDICT_ROOM, SEND_PAGES_MIN = 32 << 10 };

/* ---- What the client asks of it (RFC 9110 sections 13 and 14, as RFC 9111 section 4.3.2 applies them) ---- */

static struct cond_resource resource(const struct cache_object *o)
{
    struct cond_resource c = {.exists = true, .etag = o->etag, .has_modified = true, .modified_s = o->info.date};
    int64_t at;
    if (date_parse(fields_get(&o->fields, F_LAST_MODIFIED), o->info.date, &at))
        c.modified_s = at; /* without it the Date stands in (section 4.3.2) */
    return c;
}

bool answer_not_modified(const struct job *j, const struct cache_object *o)
{
    struct cond_resource c = resource(o);
    return o->info.status == 200 &&
           cond_check(&j->in->fields, j->in->method, &c, wall_now() / TICK_S) == COND_NOT_MODIFIED;
}

struct ranges {
    struct range v[RANGE_MAX];
    int n;
};

static enum range_result wanted_ranges(const struct job *j, const struct cache_object *o, struct ranges *out)
{
    struct cond_resource c = resource(o);
    c.has_modified = fields_has(&o->fields, F_LAST_MODIFIED);
    if (!j->ask.range || o->info.status != 200 || !o->body || o->body->length == CACHE_LENGTH_UNKNOWN ||
        !cond_range_allowed(&j->in->fields, &c, wall_now() / TICK_S))
        return RANGE_IGNORE;
    return range_parse(fields_get(&j->in->fields, F_RANGE), o->body->length, out->v, &out->n);
}

/* Nobody knows how long it is, only how far it goes: one range that ends with it or before is all it is good for. */
static bool within_short_end(const struct job *j, const struct cache_object *o)
{
    struct ranges w;
    if (range_parse(fields_get(&j->in->fields, F_RANGE), UINT64_MAX, w.v, &w.n) != RANGE_SOME || w.n > 1)
        return false;
    bool to_the_end = w.v[0].last == UINT64_MAX - 1; /* "6-" or "-5" */
    return to_the_end || w.v[0].last < o->body->length;
}

bool answer_covers(const struct job *j, const struct cache_object *o)
{
    struct ranges w;
    bool all = true;
    if (!o->partial)
        return true;
    switch (wanted_ranges(j, o, &w)) {
    case RANGE_SOME:
        if (o->short_end && !within_short_end(j, o))
            return false;
        for (int i = 0; i < w.n; i++)
            all = all && cache_body_has(o->body, w.v[i].first, w.v[i].last - w.v[i].first + 1);
        return all;
    case RANGE_UNSATISFIABLE:
        return !o->short_end;
    default:
        return false;
    }
}

/* ---- Heads ---- */

static uint64_t body_size(const struct cache_object *o)
{
    return o->whole.n ? o->whole.n : o->body->length;
}

/* The head of a hit over HTTP/1: the object's own, as it stands there, and two lines more. */
static err_t ready_head(struct job *j, const struct cache_object *o, int64_t age, struct http_response *r)
{
    char digits[SLICE_U64];
    char *lines = arena_new(j->arena, EXTRA_ROOM, 1);
    if (!lines)
        return E_NO_MEMORY;
    char *at = slice_put(slice_put(slice_put(lines, S("Age: ")), slice_of_u64((uint64_t)age, digits)),
                         S("\r\nCache-Status: "));
    j->ex->note = slice_of(at, verdict_format(&j->verdict, at));
    at = slice_put(at + j->ex->note.n, S("\r\n\r\n"));
    r->status = o->info.status;
    r->fields = o->fields; /* only asked which ones there are */
    r->lines = slice_of(lines, (size_t)(at - lines) - 2);
    r->whole = true;
    r->start = o->start;
    r->length = body_size(o);
    return NULL;
}

err_t answer_head(struct job *j, uint16_t status, struct slice reason, struct http_fields *f, tick until)
{
    struct http_response r = {.status = status, .reason = reason};
    TRY(fetch_interims_sent(j, until));
    struct slice line = job_note(j);
    struct http_field status_line = {slice_first(line, line.n - j->ex->note.n - 2), j->ex->note, F_CACHE_STATUS, true};
    if (!line.n || (j->p->memory && !fields_add_line(j->arena, f, &status_line)))
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

static bool not_length_or_type(uint8_t id)
{
    return id != F_CONTENT_LENGTH && id != F_CONTENT_TYPE;
}

/* ---- Answers ---- */

/* Large pieces go without a copy where the connection allows it. */
static err_t send_bytes(struct job *j, const struct cache_object *o, uint64_t from, uint64_t n, tick until)
{
    while (n) {
        struct slice s = o->whole.n ? slice_from(o->whole, from) : cache_body_at(o->body, from);
        CHECK(s.n);
        s = slice_first(s, n < SIZE_MAX ? (size_t)n : SIZE_MAX);
        bool paged = s.n >= SEND_PAGES_MIN && cache_body_paged(o->body, from);
        TRY((paged ? reply_pages : reply_body)(j->ex, s, until));
        from += s.n, n -= s.n;
    }
    return NULL;
}

static err_t answer_304(struct job *j, const struct cache_object *o, int64_t age, tick until)
{
    struct http_fields f = {0};
    TRY(copied_fields(j, o, age, not_length, &f));
    TRY(answer_head(j, 304, SLICE_NONE, &f, until));
    return reply_end(j->ex, until);
}

static err_t add_length(struct job *j, struct http_fields *f, uint64_t n)
{
    struct slice length = arena_format(j->arena, "%llu", (unsigned long long)n);
    return length.p && fields_add_id(j->arena, f, F_CONTENT_LENGTH, length) ? NULL : E_NO_MEMORY;
}

static err_t answer_one(struct job *j, const struct cache_object *o, int64_t age, struct range r, tick until)
{
    struct http_fields f = {0};
    uint64_t n = r.last - r.first + 1;
    TRY(copied_fields(j, o, age, not_length, &f));
    char digits[SLICE_U64];
    struct slice length = o->short_end ? S("*") : slice_of_u64(o->body->length, digits);
    struct slice range = arena_format(j->arena, "bytes %llu-%llu/%.*s", (unsigned long long)r.first,
                                      (unsigned long long)r.last, SLICE_ARG(length));
    if (!range.p || !fields_add_id(j->arena, &f, F_CONTENT_RANGE, range))
        return E_NO_MEMORY;
    TRY(add_length(j, &f, n));
    TRY(answer_head(j, 206, SLICE_NONE, &f, until));
    TRY(send_bytes(j, o, r.first, n, until));
    return reply_end(j->ex, until);
}

static err_t answer_several(struct job *j, const struct cache_object *o, int64_t age, const struct ranges *w,
                            tick until)
{
    struct http_fields f = {0};
    struct byteranges parts;
    struct slice type = fields_get(&o->fields, F_CONTENT_TYPE);
    TRY(byteranges_make(j->arena, type, o->body->length, w->v, w->n, random_u64(), &parts));
    TRY(copied_fields(j, o, age, not_length_or_type, &f));
    if (!fields_add_id(j->arena, &f, F_CONTENT_TYPE, parts.type))
        return E_NO_MEMORY;
    TRY(add_length(j, &f, parts.length));
    TRY(answer_head(j, 206, SLICE_NONE, &f, until));
    for (int i = 0; i < w->n; i++) {
        TRY(reply_body(j->ex, parts.heads[i], until));
        TRY(send_bytes(j, o, w->v[i].first, w->v[i].last - w->v[i].first + 1, until));
    }
    TRY(reply_body(j->ex, parts.heads[w->n], until));
    return reply_end(j->ex, until);
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
    if (j->route == ROUTE_ADDRESS || !o->body || j->in->version >= 20) {
        struct http_fields f = {0};
        TRY(copied_fields(j, o, age, NULL, &f));
        TRY(answer_head(j, o->info.status, SLICE_NONE, &f, until));
    } else {
        struct http_response r = {0};
        TRY(ready_head(j, o, age, &r));
        TRY(reply_head(j->ex, &r, until));
    }
    if (o->body)
        TRY(send_bytes(j, o, 0, body_size(o), until));
    return reply_end(j->ex, until);
}

err_t answer_stored(struct job *j, struct cache_object *o, tick until)
{
    int64_t age = fresh_age(&o->info, wall_now());
    TRY(fetch_interims_sent(j, until));
    if (j->verdict.fwd == VERDICT_HIT)
        stat_add(STAT_CACHE_HITS, 1);
    if (j->ask.conditional && answer_not_modified(j, o))
        return answer_304(j, o, age, until);
    if (j->ask.range) {
        struct ranges w;
        enum range_result r = wanted_ranges(j, o, &w);
        if (r == RANGE_SOME)
            return w.n > 1 ? answer_several(j, o, age, &w, until) : answer_one(j, o, age, w.v[0], until);
        if (r == RANGE_UNSATISFIABLE)
            return answer_416(j, o, until);
    }
    return answer_whole(j, o, age, until);
}
