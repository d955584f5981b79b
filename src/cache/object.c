/* SPDX-License-Identifier: MIT */
#include "cache/object.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "http/date.h"
#include "http/fields.h"
#include "http/status.h"

enum { OBJECT_MAGIC = 0x6f626a65 };

static bool left_out(const struct cache_object_make *m, const struct http_field *f)
{
    /* Age is computed on sending; a Content-Length that is not the body's own would lie. */
    return f->id == F_AGE || (f->id == F_CONTENT_LENGTH && m->body && m->body->length != CACHE_LENGTH_UNKNOWN);
}

enum { STATUS_LINE_MAX = 64 };

static size_t head_size(const struct cache_object_make *m)
{
    size_t n = STATUS_LINE_MAX + DATE_LENGTH + 64;
    for (uint16_t i = 0; i < m->fields->n; i++)
        n += m->fields->v[i].name.n + m->fields->v[i].value.n + 4;
    return n;
}

static char *add_field(struct cache_object *o, char *at, struct slice name, struct slice value)
{
    struct slice stored_name = slice_of(at, name.n);
    at = slice_put(slice_put(at, name), S(": "));
    struct slice stored_value = slice_of(at, value.n);
    at = slice_put(slice_put(at, value), S("\r\n"));
    CHECK(fields_push(&o->fields, stored_name, stored_value));
    return at;
}

static char *write_status(char *at, uint16_t status)
{
    struct slice usual = status_line(status);
    CHECK(usual.n <= STATUS_LINE_MAX);
    return usual.n ? slice_put(at, usual) : at + snprintf(at, STATUS_LINE_MAX, "HTTP/1.1 %u \r\n", status % 1000u);
}

static char *write_head(struct cache_object *o, char *start, const struct cache_object_make *m)
{
    char *head = write_status(start, m->info.status), *at = head;
    for (uint16_t i = 0; i < m->fields->n; i++)
        if (!left_out(m, &m->fields->v[i]))
            at = add_field(o, at, m->fields->v[i].name, m->fields->v[i].value);
    if (m->body && m->body->length != CACHE_LENGTH_UNKNOWN && m->info.status != 204) {
        char digits[24];
        int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)m->body->length);
        at = add_field(o, at, S("Content-Length"), slice_of(digits, (size_t)n));
    }
    if (!fields_has(&o->fields, F_DATE)) {
        char date[DATE_LENGTH + 1];
        date_format(m->info.date, date);
        at = add_field(o, at, S("Date"), slice_of(date, DATE_LENGTH));
    }
    o->start = slice_of(start, (size_t)(at - start));
    o->head = slice_of(head, (size_t)(at - head));
    return at;
}

struct cache_object *cache_object_new(const struct cache_object_make *m)
{
    const size_t align = _Alignof(struct http_field);
    bool packed = m->body && cache_body_packs(m->body);
    size_t body = packed ? (size_t)m->body->length : 0;
    size_t fields = (size_t)m->fields->n + 2, text = head_size(m) + m->key.text.n + m->vary.n + body;
    text = (text + align - 1) / align * align;
    size_t own = sizeof(struct cache_object) + text + fields * sizeof(struct http_field) - body;
    struct cache_object *o = malloc(own + (packed ? body + CACHE_BODY_ROOM : 0));
    if (!o)
        return NULL;
    memset(o, 0, sizeof *o);
    o->magic = OBJECT_MAGIC;
    atomic_init(&o->refs, 1);
    o->info = m->info;
    o->hash = m->key.hash;
    char *at = o->text;
    o->fields = (struct http_fields){.v = (struct http_field *)(void *)(at + text), .cap = (uint16_t)fields};
    o->key = slice_of(at, m->key.text.n);
    at = slice_put(at, m->key.text);
    o->vary = slice_of(at, m->vary.n);
    at = slice_put(at, m->vary);
    at = write_head(o, at, m);
    CHECK((size_t)(at - o->text) + body <= text);
    o->etag = fields_get(&o->fields, F_ETAG);
    o->packed = packed;
    o->body = packed ? cache_body_pack(m->body, at, o->fields.v + fields, o) : m->body ? cache_body_ref(m->body) : NULL;
    o->own = own;
    cache_object_settle(o);
    return o;
}

void cache_object_settle(struct cache_object *o)
{
    const struct cache_body *b = o->body;
    o->memory = o->own + (b ? b->memory : 0);
    o->partial = b && !cache_body_complete(b);
    o->whole = b && !o->partial && b->count == 1 ? cache_body_at(b, 0) : SLICE_NONE;
}

struct cache_object *cache_object_ref(struct cache_object *o)
{
    CHECK_MAGIC(o, OBJECT_MAGIC);
    atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
    return o;
}

void cache_object_unref(struct cache_object *o)
{
    if (!o)
        return;
    CHECK_MAGIC(o, OBJECT_MAGIC);
    if (atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) != 1)
        return;
    o->magic = 0;
    bool packed = o->packed;
    cache_body_unref(o->body);
    if (!packed)
        free(o);
}

struct fresh_info cache_object_info(const struct cache_object *o)
{
    struct fresh_info info = o->info;
    if (atomic_load_explicit(&o->invalid, memory_order_relaxed))
        info.flags |= FRESH_INVALID;
    return info;
}
