/* SPDX-License-Identifier: MIT */
#include "cache/key.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/random.h"
#include "http/fields.h"

enum { VARY_NAMES_MAX = 32, VARY_ELEMENTS_MAX = 64, VARY_VALUE_MAX = 8192 };

uint64_t cache_key_seed(void)
{
    static _Atomic uint64_t seed;
    uint64_t s = atomic_load_explicit(&seed, memory_order_relaxed);
    if (!s) {
        uint64_t fresh = random_u64() | 1;
        s = atomic_compare_exchange_strong(&seed, &s, fresh) ? fresh : s;
    }
    return s;
}

/* What may not stand in a part: delimiters that would end it, white space and controls. One bit a part. */
enum { IN_SCHEME = 1, IN_HOST = 2, IN_HOST_V6 = 4, IN_PATH = 8, IN_QUERY = 16, IN_ANY = 31 };
static const uint8_t refused[256] = {
    [0 ... ' '] = IN_ANY,
    [0x7f] = IN_ANY,
    ['#'] = IN_ANY,
    ['?'] = IN_ANY & ~IN_QUERY,
    ['/'] = IN_SCHEME | IN_HOST | IN_HOST_V6,
    ['@'] = IN_SCHEME | IN_HOST | IN_HOST_V6,
    ['['] = IN_HOST | IN_HOST_V6,
    [']'] = IN_HOST | IN_HOST_V6,
    [':'] = IN_SCHEME | IN_HOST,
};

/* To `at`, in lower case where that is the same; what may not stand there is told through *bad. */
static inline char *put_part(char *at, struct slice s, unsigned part, bool fold, unsigned *bad)
{
    unsigned seen = 0;
    for (size_t i = 0; i < s.n; i++) {
        seen |= refused[(unsigned char)s.p[i]];
        at[i] = fold ? ascii_lower(s.p[i]) : s.p[i];
    }
    *bad |= seen & part;
    return at + s.n;
}

bool cache_key_make(struct cache_key *key, const struct uri *u, struct slice scheme, struct arena *arena)
{
    struct slice s = u->scheme.n ? u->scheme : scheme;
    bool http = slice_eq(s, S("http")); /* mostly */
    unsigned bad = 0;
    char digits[SLICE_U64], *text = arena_new(arena, s.n + u->host.n + u->path.n + u->query.n + 16, 1);
    char *at = text;
    if (!text || !u->host.n)
        return false;
    at = http ? slice_put(at, S("http://")) : slice_put(put_part(at, s, IN_SCHEME, true, &bad), S("://"));
    at = u->ipv6 ? slice_put(at, S("[")) : at;
    at = put_part(at, u->host, u->ipv6 ? IN_HOST_V6 : IN_HOST, true, &bad);
    at = u->ipv6 ? slice_put(at, S("]")) : at;
    uint16_t usual = !http && slice_eq_case(s, S("https")) ? 443 : 80;
    if (u->port && u->port != usual)
        at = slice_put(slice_put(at, S(":")), slice_of_u64(u->port, digits));
    at = put_part(at, u->path.n ? u->path : S("/"), IN_PATH, false, &bad);
    if (u->has_query)
        at = put_part(slice_put(at, S("?")), u->query, IN_QUERY, false, &bad);
    if (bad)
        return false;
    cache_key_of_text(key, slice_of(text, (size_t)(at - text)));
    return true;
}

void cache_key_of_text(struct cache_key *key, struct slice text)
{
    key->text = text;
    key->hash = slice_hash(text, cache_key_seed());
}

/* The next piece of a value up to a comma outside of quotes, without the white space around it. */
static bool element_cut(struct slice *rest, struct slice *element)
{
    if (!rest->p)
        return false;
    size_t i = 0;
    for (bool quoted = false; i < rest->n && (quoted || rest->p[i] != ','); i++) {
        if (quoted && rest->p[i] == '\\')
            i++;
        else if (rest->p[i] == '"')
            quoted = !quoted;
    }
    i = i > rest->n ? rest->n : i;
    *element = slice_trim(slice_first(*rest, i));
    *rest = i < rest->n ? slice_from(*rest, i + 1) : SLICE_NONE;
    return true;
}

static int collect(const struct http_fields *f, struct slice name, struct slice *out, int max)
{
    int n = 0;
    for (uint16_t i = 0; i < f->n; i++) {
        if (!slice_eq_case(f->v[i].name, name))
            continue;
        struct slice rest = f->v[i].value.p ? f->v[i].value : S("");
        for (struct slice e; n < max && element_cut(&rest, &e);)
            out[n++] = e;
        if (n == max)
            return -1;
    }
    return n;
}

static void sort(struct slice *v, int n)
{
    for (int i = 1; i < n; i++)
        for (int k = i; k > 0 && slice_cmp(v[k - 1], v[k]) > 0; k--) {
            struct slice t = v[k];
            v[k] = v[k - 1], v[k - 1] = t;
        }
}

/* Accept-Language and Accept-Encoding: tags without regard to case, and the set of them counts, since preference
   is what q says (RFC 9110 sections 12.5.3 and 12.5.4). */
static bool is_set(struct slice name)
{
    return slice_eq_case(name, S("accept-language")) || slice_eq_case(name, S("accept-encoding")) ||
           slice_eq_case(name, S("accept-charset"));
}

static err_t value_set(struct slice *v, int n, struct buf *out)
{
    char text[VARY_VALUE_MAX / 4];
    char *at = text;
    for (int i = 0; i < n; i++) {
        char *start = at;
        for (size_t k = 0; k < v[i].n; k++) {
            if (at == text + sizeof text)
                return E_TOO_LARGE;
            if (v[i].p[k] != ' ' && v[i].p[k] != '\t')
                *at++ = ascii_lower(v[i].p[k]);
        }
        v[i] = slice_of(start, (size_t)(at - start));
    }
    sort(v, n);
    for (int i = 0; i < n; i++) {
        if (!v[i].n)
            continue;
        TRY(buf_add(out, v[i]));
        TRY(buf_add_char(out, ','));
    }
    return NULL;
}

static bool present(const struct http_fields *f, struct slice name)
{
    for (uint16_t i = 0; i < f->n; i++)
        if (slice_eq_case(f->v[i].name, name))
            return true;
    return false;
}

err_t cache_vary_value(const struct http_fields *f, struct slice name, struct buf *out)
{
    struct slice v[VARY_ELEMENTS_MAX];
    if (!present(f, name))
        return E_NOT_FOUND;
    int n = collect(f, name, v, VARY_ELEMENTS_MAX);
    if (n < 0)
        return E_TOO_LARGE;
    if (is_set(name))
        return value_set(v, n, out);
    for (int i = 0; i < n; i++) {
        if (i)
            TRY(buf_add_char(out, ','));
        TRY(buf_add(out, v[i]));
    }
    return NULL;
}

/* The nominated names, lower-cased into `text`, sorted, each once. -1: `*`, or more than we keep. */
static int nominated(const struct http_fields *response, char *text, size_t cap, struct slice *names, int max)
{
    int n = 0;
    struct fields_list walk = {.fields = response, .id = F_VARY};
    for (struct slice name; fields_element(&walk, &name);) {
        if (slice_eq(name, S("*")) || n == max || name.n > cap)
            return -1;
        for (size_t i = 0; i < name.n; i++)
            text[i] = ascii_lower(name.p[i]);
        names[n++] = slice_of(text, name.n);
        text += name.n, cap -= name.n;
    }
    sort(names, n);
    int kept = 0;
    for (int i = 0; i < n; i++)
        if (!kept || !slice_eq(names[kept - 1], names[i]))
            names[kept++] = names[i];
    return kept;
}

err_t cache_vary_make(const struct http_fields *response, const struct http_fields *request, struct buf *out)
{
    char text[1024];
    struct slice names[VARY_NAMES_MAX];
    int n = nominated(response, text, sizeof text, names, VARY_NAMES_MAX);
    if (n < 0)
        return E_TOO_LARGE;
    for (int i = 0; i < n; i++) {
        TRY(buf_add(out, names[i]));
        if (present(request, names[i])) {
            TRY(buf_add_char(out, '='));
            TRY(cache_vary_value(request, names[i], out));
        }
        TRY(buf_add_char(out, '\n'));
    }
    return NULL;
}

static bool line_matches(struct slice line, const struct http_fields *request, struct buf *scratch)
{
    size_t equals = slice_find(line, '=', 0);
    struct slice name = slice_first(line, equals);
    if (equals == SIZE_MAX)
        return !present(request, name);
    scratch->n = 0;
    return !cache_vary_value(request, name, scratch) && slice_eq(buf_slice(scratch), slice_from(line, equals + 1));
}

bool cache_vary_matches(struct slice vary, const struct http_fields *request)
{
    static _Thread_local char scratch[VARY_VALUE_MAX];
    struct slice line;
    while (slice_cut(&vary, '\n', &line)) {
        /* A borrowed buffer: full to its cap it refuses instead of growing, which is "no match". */
        struct buf b = {.p = scratch, .cap = sizeof scratch, .max = sizeof scratch};
        if (line.n && !line_matches(line, request, &b))
            return false;
    }
    return true;
}
