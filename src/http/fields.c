/* SPDX-License-Identifier: MIT */
#include "http/fields.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

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

/* Open addressing, four times as many places as names. Filled before main. */
enum { PLACES = 256 };
static uint8_t place[PLACES];
static uint64_t hops[2]; /* a bit each, as in http_fields.has */

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
        if (known[id].flags & FIELD_HOP)
            hops[id >> 6] |= UINT64_C(1) << (id & 63);
    }
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

/* As it is mostly spelled? Without a call, since this is asked for every line; a false "no" is possible. The last piece
   overlaps with what was looked at before it. */
static inline bool same(const char *a, const char *b, size_t n)
{
    if (n < 8)
        return n >= 4 && ((four(a) ^ four(b)) | (four(a + n - 4) ^ four(b + n - 4))) == 0;
    uint64_t differ = (eight(a) ^ eight(b)) | (eight(a + n - 8) ^ eight(b + n - 8));
    for (size_t i = 8; i + 8 < n; i += 8)
        differ |= eight(a + i) ^ eight(b + i);
    return differ == 0;
}

/* Not where it should be first, or spelled in another way. */
__attribute__((noinline)) static enum http_field_id search(struct slice name, unsigned h)
{
    for (; place[h]; h = (h + 1) % PLACES) {
        struct slice k = known[place[h]].name;
        if (k.n == name.n && (same(k.p, name.p, k.n) || slice_same_case(k.p, name.p, k.n)))
            return place[h];
    }
    return F_OTHER;
}

enum http_field_id fields_id(struct slice name)
{
    if (name.n == 0)
        return F_OTHER;
    unsigned h = hash(name.p, name.n);
    struct slice first = known[place[h]].name; /* empty: F_OTHER's */
    return first.n == name.n && same(first.p, name.p, name.n) ? place[h] : search(name, h);
}

struct slice fields_name(enum http_field_id id)
{
    return known[id].name;
}

unsigned fields_flags(enum http_field_id id)
{
    return known[id].flags;
}

bool fields_any_hop(const struct http_fields *f)
{
    return (f->has[0] & hops[0]) | (f->has[1] & hops[1]);
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

#ifdef __SSE2__
/* Which of sixteen bytes may end a value: controls, HTAB among them, and DEL. */
static inline unsigned stops(const char *p)
{
    const __m128i low = _mm_set1_epi8(0x1f), del = _mm_set1_epi8(0x7f);
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i stop = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(v, low), v), _mm_cmpeq_epi8(v, del));
    return (unsigned)_mm_movemask_epi8(stop);
}
#endif

const char *fields_value_end(const char *p, const char *end)
{
#ifdef __SSE2__
    while (end - p >= 16) {
        unsigned mask = stops(p);
        if (!mask) {
            p += 16;
            continue;
        }
        p += __builtin_ctz(mask);
        if (*p != '\t')
            return p;
        p++;
    }
#endif
    while (p < end && ((unsigned char)*p >= 0x20 || *p == '\t') && *p != 0x7f)
        p++;
    return p;
}

bool fields_value_ok(struct slice value)
{
    return fields_value_end(value.p, value.p + value.n) == value.p + value.n;
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

bool fields_only(const struct http_fields *f, enum http_field_id id, struct slice *value)
{
    uint16_t at = 0;
    struct slice one, more;
    if (!fields_has(f, id) || !fields_line(f, id, &at, &one) || fields_line(f, id, &at, &more))
        return false;
    *value = one;
    return true;
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
    if (!fields_has(f, id))
        return false;
    if (slice_eq_case(fields_get(f, id), token)) /* as mostly: it stands alone */
        return true;
    while (fields_element(&l, &e))
        if (slice_eq_case(e, token))
            return true;
    return false;
}

bool fields_push(struct http_fields *f, struct slice name, struct slice value)
{
    if (f->n == f->cap)
        return false;
    fields_append(f, fields_id(name), name, value, false);
    return true;
}

enum { FIRST = 12 };

bool fields_room(struct arena *a, struct http_fields *f, uint16_t more)
{
    unsigned cap = f->cap ? f->cap : FIRST;
    while (cap < (unsigned)f->n + more)
        cap *= 2;
    if (cap > UINT16_MAX)
        return false;
    if (cap == f->cap)
        return true;
    struct http_field *v = ARENA_ARRAY(a, struct http_field, cap);
    if (!v)
        return false;
    if (f->n)
        memcpy(v, f->v, f->n * sizeof *v);
    f->v = v;
    f->cap = (uint16_t)cap;
    return true;
}

static inline bool room(struct arena *a, struct http_fields *f, uint16_t more)
{
    return more <= f->cap - f->n || fields_room(a, f, more);
}

bool fields_add(struct arena *a, struct http_fields *f, struct slice name, struct slice value)
{
    return room(a, f, 1) && fields_push(f, name, value);
}

bool fields_add_line(struct arena *a, struct http_fields *f, const struct http_field *line)
{
    if (!room(a, f, 1))
        return false;
    fields_append(f, line->id, line->name, line->value, line->checked);
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
    fields_append(f, id, known[id].name, value, false);
    return true;
}

bool fields_add_ours(struct arena *a, struct http_fields *f, enum http_field_id id, struct slice value)
{
    if (!value.p || !room(a, f, 1))
        return false;
    fields_append(f, id, known[id].name, value, true);
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
