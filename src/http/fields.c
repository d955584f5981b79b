/* SPDX-License-Identifier: MIT */
#include "http/fields.h"

static const struct {
    struct slice name;
    uint8_t flags;
} known[F_COUNT] = {
#define HOP                        FIELD_HOP
#define ONE                        FIELD_ONE
#define LIST                       FIELD_LIST
#define FIELD_ROW(id, text, flags) [id] = {{text, sizeof(text) - 1}, flags},
#include "http/fields.def"
#undef FIELD_ROW
#undef HOP
#undef ONE
#undef LIST
};

/* Open addressing, four times as many places as names, filled before main. */
enum { PLACES = 256 };
static uint8_t place[PLACES];

static inline unsigned hash(const char *p, size_t n)
{
    unsigned h = (unsigned)n * 7 + (unsigned)(p[0] | 0x20) * 31 + (unsigned)(p[n - 1] | 0x20) * 3 +
                 (unsigned)(p[n / 2] | 0x20) * 17;
    return (h ^ h >> 8) % PLACES;
}

__attribute__((constructor)) static void fill(void)
{
    for (unsigned id = 1; id < F_COUNT; id++) {
        unsigned h = hash(known[id].name.p, known[id].name.n);
        while (place[h])
            h = (h + 1) % PLACES;
        place[h] = (uint8_t)id;
    }
}

enum http_field_id fields_id(struct slice name)
{
    if (name.n == 0)
        return F_OTHER;
    for (unsigned h = hash(name.p, name.n); place[h]; h = (h + 1) % PLACES) {
        struct slice k = known[place[h]].name;
        if (k.n == name.n && (memcmp(k.p, name.p, k.n) == 0 || slice_eq_case(k, name)))
            return place[h];
    }
    return F_OTHER;
}

struct slice fields_name(enum http_field_id id)
{
    return known[id].name;
}

unsigned fields_flags(enum http_field_id id)
{
    return known[id].flags;
}

/* tchar, RFC 9110 section 5.6.2. */
static const bool token_char[256] = {
    ['0' ... '9'] = true,  ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['!'] = true,
    ['#' ... '\''] = true, ['*'] = true,         ['+'] = true,         ['-'] = true,
    ['.'] = true,          ['^' ... '`'] = true, ['|'] = true,         ['~'] = true,
};

bool fields_name_ok(struct slice name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!token_char[(unsigned char)name.p[i]])
            return false;
    return name.n > 0;
}

static inline bool value_char(char c)
{
    return ((unsigned char)c >= 0x20 && c != 0x7f) || c == '\t';
}

/* Eight bytes at once, of which none is below 0x20 or DEL; a false "no" is possible. */
static inline bool plain(uint64_t w)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
    uint64_t del = w ^ ones * 0x7f;
    return !(((w - ones * 0x20) & ~w & high) | ((del - ones) & ~del & high));
}

static inline uint64_t eight(const char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

static inline uint64_t four(const char *p)
{
    uint32_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

/* The last piece overlaps with what was looked at before it. */
static bool all_plain(const char *p, size_t n)
{
    if (n < 8)
        return n >= 4 && plain(four(p) << 32 | four(p + n - 4));
    for (size_t i = 0; i < n - 8; i += 8)
        if (!plain(eight(p + i)))
            return false;
    return plain(eight(p + n - 8));
}

bool fields_value_ok(struct slice value)
{
    if (all_plain(value.p, value.n))
        return true;
    for (size_t i = 0; i < value.n; i++)
        if (!value_char(value.p[i]))
            return false;
    return true;
}

struct slice fields_get(const struct http_fields *f, enum http_field_id id)
{
    uint16_t at = 0;
    struct slice value = SLICE_NONE;
    if (fields_has(f, id))
        (void)fields_line(f, id, &at, &value);
    return value;
}

struct slice fields_find(const struct http_fields *f, struct slice name)
{
    enum http_field_id id = fields_id(name);
    if (id != F_OTHER)
        return fields_get(f, id);
    for (uint16_t i = 0; i < f->n; i++)
        if (f->v[i].id == F_OTHER && slice_eq_case(f->v[i].name, name))
            return f->v[i].value;
    return SLICE_NONE;
}

bool fields_line(const struct http_fields *f, enum http_field_id id, uint16_t *at, struct slice *value)
{
    for (uint16_t i = *at; i < f->n; i++) {
        if (f->v[i].id != id)
            continue;
        *value = f->v[i].value;
        *at = (uint16_t)(i + 1);
        return true;
    }
    *at = f->n;
    return false;
}

unsigned fields_count(const struct http_fields *f, enum http_field_id id)
{
    unsigned n = 0;
    for (uint16_t i = 0; i < f->n; i++)
        n += f->v[i].id == id;
    return n;
}

/* Length of the element at the start: up to a comma that stands outside of a quoted string. */
static size_t element_end(struct slice s)
{
    bool quoted = false;
    for (size_t i = 0; i < s.n; i++) {
        if (quoted && s.p[i] == '\\')
            i++;
        else if (s.p[i] == '"')
            quoted = !quoted;
        else if (s.p[i] == ',' && !quoted)
            return i;
    }
    return s.n;
}

bool fields_cut(struct slice *rest, struct slice *element)
{
    while (rest->n) {
        size_t end = element_end(*rest);
        struct slice e = slice_trim(slice_first(*rest, end));
        *rest = slice_from(*rest, end + 1);
        if (e.n) {
            *element = e;
            return true;
        }
    }
    return false;
}

bool fields_element(struct fields_list *l, struct slice *element)
{
    while (!fields_cut(&l->rest, element))
        if (!fields_has(l->fields, l->id) || !fields_line(l->fields, l->id, &l->line, &l->rest))
            return false;
    return true;
}

bool fields_has_token(const struct http_fields *f, enum http_field_id id, struct slice token)
{
    struct fields_list l = {.fields = f, .id = id};
    struct slice e;
    while (fields_element(&l, &e))
        if (slice_eq_case(e, token))
            return true;
    return false;
}

static inline void note(struct http_fields *f, unsigned id)
{
    if (id != F_OTHER)
        f->has[id >> 6] |= UINT64_C(1) << (id & 63);
}

bool fields_push(struct http_fields *f, struct slice name, struct slice value)
{
    if (f->n == f->cap)
        return false;
    enum http_field_id id = fields_id(name);
    f->v[f->n++] = (struct http_field){.name = name, .value = value, .id = (uint8_t)id};
    note(f, id);
    return true;
}

enum { FIRST = 12 };

static bool grow(struct arena *a, struct http_fields *f, uint16_t more)
{
    unsigned cap = f->cap ? f->cap * 2u : FIRST;
    while (cap < (unsigned)f->n + more)
        cap *= 2;
    if (cap > UINT16_MAX)
        return false;
    struct http_field *v = ARENA_ARRAY(a, struct http_field, cap);
    if (!v)
        return false;
    if (f->n)
        memcpy(v, f->v, f->n * sizeof *v);
    f->v = v;
    f->cap = (uint16_t)cap;
    return true;
}

/* Room for `more` lines. */
static inline bool room(struct arena *a, struct http_fields *f, uint16_t more)
{
    return more <= f->cap - f->n || grow(a, f, more);
}

bool fields_add(struct arena *a, struct http_fields *f, struct slice name, struct slice value)
{
    return room(a, f, 1) && fields_push(f, name, value);
}

bool fields_add_line(struct arena *a, struct http_fields *f, const struct http_field *line)
{
    if (!room(a, f, 1))
        return false;
    f->v[f->n++] = *line;
    note(f, line->id);
    return true;
}

bool fields_add_all(struct arena *a, struct http_fields *f, const struct http_fields *from)
{
    if (!room(a, f, from->n))
        return false;
    if (from->n)
        memcpy(f->v + f->n, from->v, from->n * sizeof *f->v);
    f->n = (uint16_t)(f->n + from->n);
    f->has[0] |= from->has[0];
    f->has[1] |= from->has[1];
    return true;
}

bool fields_add_id(struct arena *a, struct http_fields *f, enum http_field_id id, struct slice value)
{
    if (!room(a, f, 1))
        return false;
    f->v[f->n++] = (struct http_field){.name = known[id].name, .value = value, .id = (uint8_t)id};
    note(f, id);
    return true;
}

static void keep_if_not(struct http_fields *f, enum http_field_id id, struct slice name)
{
    uint16_t kept = 0;
    for (uint16_t i = 0; i < f->n; i++)
        if (f->v[i].id != id || (id == F_OTHER && !slice_eq_case(f->v[i].name, name)))
            f->v[kept++] = f->v[i];
    f->n = kept;
    if (id != F_OTHER)
        f->has[id >> 6] &= ~(UINT64_C(1) << (id & 63));
}

void fields_remove(struct http_fields *f, enum http_field_id id)
{
    if (fields_has(f, id))
        keep_if_not(f, id, SLICE_NONE);
}

void fields_remove_name(struct http_fields *f, struct slice name)
{
    keep_if_not(f, fields_id(name), name);
}
