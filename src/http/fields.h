/* SPDX-License-Identifier: MIT */
/*
 * fields.h -- the field section of a message: names recognised once, then asked for by number (RFC 9110 section 5).
 *
 * Parsers append with fields_push into an array that they own; handlers build responses in an arena with
 * fields_add. Several lines of one name are kept apart and in order; fields_line walks over them, fields_element
 * over the comma-separated elements of all of them (section 5.6.1), quoted strings respected.
 */
#pragma once

#include "base/arena.h"
#include "http/message.h"

enum fields_flags { FIELD_HOP = 1, FIELD_ONE = 2, FIELD_LIST = 4 };

enum http_field_id fields_id(struct slice name); /* F_OTHER when unknown; case-insensitive */
struct slice fields_name(enum http_field_id);    /* canonical spelling */
unsigned fields_flags(enum http_field_id);       /* enum fields_flags */
bool fields_name_ok(struct slice name);          /* a token (section 5.6.2) */
bool fields_value_ok(struct slice value);        /* no control characters but HTAB: nothing that could split a line */
/* The first byte at or after `p` that ends a value: a control character other than HTAB, or DEL. */
const char *fields_value_end(const char *p, const char *end);
bool fields_any_hop(const struct http_fields *); /* is any of them hop-by-hop by its name? */

static inline bool fields_has(const struct http_fields *f, enum http_field_id id)
{
    return f->has[id >> 6] >> (id & 63) & 1;
}

struct slice fields_get(const struct http_fields *, enum http_field_id); /* first value; p is NULL when there is none */
struct slice fields_find(const struct http_fields *, struct slice name); /* the same for any name */
/* Its value, when there is one line of it, no more and no less. */
bool fields_only(const struct http_fields *, enum http_field_id, struct slice *value);
unsigned fields_count(const struct http_fields *, enum http_field_id); /* how many lines */

/* Walk over the lines of one name: start with *at = 0. */
bool fields_line(const struct http_fields *, enum http_field_id, uint16_t *at, struct slice *value);

/* Walk over list elements; empty ones are skipped. {.fields = f, .id = F_VARY} is a fresh walk. */
struct fields_list {
    const struct http_fields *fields;
    enum http_field_id id;
    uint16_t line;
    struct slice rest;
};
bool fields_element(struct fields_list *, struct slice *element);
bool fields_has_token(const struct http_fields *, enum http_field_id, struct slice token); /* case-insensitive */
/* The next element of one list value, cut off `*rest`; empty elements are skipped. */
bool fields_cut(struct slice *rest, struct slice *element);

/* Append to the array at hand, which has room. The slices are kept, not copied. */
static inline void fields_append(struct http_fields *f, enum http_field_id id, struct slice name, struct slice value,
                                 bool checked)
{
    struct http_field *line = &f->v[f->n++];
    line->name = name;
    line->value = value;
    line->id = (uint8_t)id;
    line->checked = checked;
    if (id != F_OTHER)
        f->has[id >> 6] |= UINT64_C(1) << (id & 63);
}
/* The same of any name, to be checked before it is sent; false when there is no room. */
bool fields_push(struct http_fields *, struct slice name, struct slice value);

/* Room for `more` lines; false past the arena's cap. */
bool fields_room(struct arena *, struct http_fields *, uint16_t more);
/* In an arena: name and value are kept, not copied; the array grows there. False past the arena's cap. */
bool fields_add(struct arena *, struct http_fields *, struct slice name, struct slice value);
bool fields_add_id(struct arena *, struct http_fields *, enum http_field_id, struct slice value);
/* A value of our own making, out of parts that were checked. */
bool fields_add_ours(struct arena *, struct http_fields *, enum http_field_id, struct slice value);
bool fields_add_line(struct arena *, struct http_fields *, const struct http_field *); /* out of another section */
bool fields_add_all(struct arena *, struct http_fields *, const struct http_fields *);
void fields_remove(struct http_fields *, enum http_field_id); /* every line of it */
void fields_remove_name(struct http_fields *, struct slice name);
