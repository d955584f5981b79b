/* SPDX-License-Identifier: MIT */
#include "http/h1_parse.h"

#include "http/fields.h"
#include "http/uri.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { FOLDS_MAX = 64 }; /* in a head */

/* One bit a question about a byte: may it stand in a token (RFC 9110 section 5.6.2), in a request target? */
enum { TOKEN = 1, TARGET = 2 };
static const uint8_t kind[256] = {
    ['!'] = TOKEN | TARGET,
    ['#'] = TOKEN,
    ['$' ... '\''] = TOKEN | TARGET,
    ['(' ... ')'] = TARGET,
    ['*' ... '+'] = TOKEN | TARGET,
    [','] = TARGET,
    ['-' ... '.'] = TOKEN | TARGET,
    ['/'] = TARGET,
    ['0' ... '9'] = TOKEN | TARGET,
    [':' ... ';'] = TARGET,
    ['='] = TARGET,
    ['?' ... '@'] = TARGET,
    ['A' ... 'Z'] = TOKEN | TARGET,
    ['['] = TARGET,
    [']'] = TARGET,
    ['^' ... 'z'] = TOKEN | TARGET,
    ['{'] = TARGET,
    ['|'] = TOKEN | TARGET,
    ['}'] = TARGET,
    ['~'] = TOKEN | TARGET,
};

static const struct slice method_names[M_OTHER] = {
    [M_GET] = {"GET", 3},       [M_HEAD] = {"HEAD", 4},       [M_POST] = {"POST", 4},       [M_PUT] = {"PUT", 3},
    [M_DELETE] = {"DELETE", 6}, [M_CONNECT] = {"CONNECT", 7}, [M_OPTIONS] = {"OPTIONS", 7}, [M_TRACE] = {"TRACE", 5},
    [M_PATCH] = {"PATCH", 5},   [M_PURGE] = {"PURGE", 5},
};

enum http_method h1_method(struct slice s)
{
    for (int m = 0; m < M_OTHER; m++)
        if (slice_eq(s, method_names[m]))
            return (enum http_method)m;
    return M_OTHER;
}

/* What the line readers share: where they are, and how errors of this side's messages are called. */
struct reader {
    const char *at, *end;
    bool accept_lf, lenient;
    err_t bad;
};

/* Not an error: the head is not whole yet. It never leaves this file. */
static const struct err MORE[1] = {{.name = "MORE"}};

/* Another line end than a whole CR LF. */
static err_t odd_line_end(struct reader *r)
{
    if (r->at == r->end)
        return MORE;
    if (*r->at == '\n') {
        if (!r->accept_lf)
            return fault(r->bad, "lines must end in CR LF, not in LF alone");
        r->at++;
        return NULL;
    }
    if (*r->at != '\r')
        return fault(r->bad, "control character 0x%02x in the head", (unsigned char)*r->at);
    if (r->end - r->at < 2)
        return MORE;
    return fault(r->bad, "CR without LF in the head");
}

/* Step over a line end. MORE when it is not there yet. */
static inline err_t line_end(struct reader *r)
{
    if (r->end - r->at < 2 || r->at[0] != '\r' || r->at[1] != '\n')
        return odd_line_end(r);
    r->at += 2;
    return NULL;
}

/* ---- Fields ---- */

static err_t room(struct arena *a, struct http_fields *f, uint16_t max)
{
    if (f->n >= max)
        return fault(E_HEADER_TOO_LARGE, "more than %u header fields", max);
    return f->n < f->cap || fields_room(a, f, 1) ? NULL : E_NO_MEMORY;
}

static err_t bad_name(struct reader *r, struct slice name)
{
    if (r->at == r->end)
        return MORE;
    if (name.n == 0 && (*r->at == ' ' || *r->at == '\t'))
        return fault(r->bad, "folded header lines (obs-fold) are not accepted");
    if (*r->at == ' ' || *r->at == '\t')
        return fault(r->bad, "white space before the colon of a header field");
    if (name.n == 0)
        return fault(r->bad, "a header field without a name");
    if (*r->at == '\r' || *r->at == '\n')
        return fault(r->bad, "a header line without a colon");
    return fault(r->bad, "byte 0x%02x in a field name", (unsigned char)*r->at);
}

/* Not in requests; in a response it has to go (RFC 9112 section 5.1). */
static void skip_before_colon(struct reader *r)
{
    while (r->bad == E_PROTO && r->at < r->end && (*r->at == ' ' || *r->at == '\t'))
        r->at++;
}

enum { KNOWN_MAX = 32 }; /* no known name is longer, with its colon */

/* The colon behind a name that may be known; NULL: none so near. */
static inline const char *near_colon(const char *p, const char *end)
{
    size_t have = (size_t)(end - p);
#ifdef __SSE2__
    if (have >= 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        int mask = _mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8(':')));
        if (mask)
            return p + __builtin_ctz((unsigned)mask);
    }
#endif
    return memchr(p, ':', have < KNOWN_MAX ? have : KNOWN_MAX);
}

/* Step over a field's name. A known one is a token, so only others are looked at byte by byte. */
static enum http_field_id name(struct reader *r, struct slice *out)
{
    const char *from = r->at, *colon = near_colon(from, r->end);
    *out = slice_of(from, colon ? (size_t)(colon - from) : 0);
    enum http_field_id id = fields_id(*out);
    if (id != F_OTHER) {
        r->at = colon;
        return id;
    }
    while (r->at < r->end && kind[(unsigned char)*r->at] & TOKEN)
        r->at++;
    *out = slice_of(from, (size_t)(r->at - from));
    return r->at == colon ? F_OTHER : fields_id(*out);
}

/* A line as most are: a known name, ": ", a value with something visible at both ends, CR LF. What follows it, or NULL:
   it has to be looked at closely. */
static inline const char *plain_line(const char *at, const char *end, struct http_fields *f)
{
    const char *colon = near_colon(at, end), *value = colon ? colon + 2 : end;
    if (end - value < 3 || value[-1] != ' ' || *value == ' ' || *value == '\t')
        return NULL;
    const char *last = fields_value_end(value, end);
    if (end - last < 2 || memcmp(last, "\r\n", 2) != 0 || last[-1] == ' ' || last[-1] == '\t')
        return NULL;
    struct slice name = slice_of(at, (size_t)(colon - at));
    enum http_field_id id = fields_id(name);
    if (id == F_OTHER)
        return NULL;
    fields_append(f, id, name, slice_of(value, (size_t)(last - value)), true);
    return last + 2;
}

/* One line after another until the empty one. */
static err_t fields(struct reader *r, struct arena *a, struct http_fields *f, uint16_t max)
{
    if (!f->cap && !fields_room(a, f, 1))
        return E_NO_MEMORY;
    for (;;) {
        const char *at = r->at;
        for (uint16_t most = f->cap < max ? f->cap : max; at && f->n < most;)
            if ((at = plain_line(at, r->end, f)))
                r->at = at;
        if (r->at == r->end)
            return MORE;
        if (*r->at == '\r' || *r->at == '\n')
            return line_end(r);
        struct slice n;
        enum http_field_id id = name(r, &n);
        if (n.n && r->at < r->end && *r->at != ':')
            skip_before_colon(r);
        if (r->at == r->end || *r->at != ':' || n.n == 0)
            return bad_name(r, n);
        const char *value = r->at + 1;
        while (value < r->end && (*value == ' ' || *value == '\t'))
            value++;
        const char *last = r->at = fields_value_end(value, r->end);
        while (last > value && (last[-1] == ' ' || last[-1] == '\t'))
            last--;
        TRY(line_end(r));
        TRY(room(a, f, max));
        fields_append(f, id, n, slice_of(value, (size_t)(last - value)), true);
    }
}

/* ---- Is the head whole? ---- */

/* Only when an earlier try found it unfinished: search what is new for the empty line. */
static bool whole(struct h1_parse *p, struct slice in)
{
    size_t from = p->seen > 2 ? p->seen - 2 : 0;
    for (size_t at; (at = slice_find(in, '\n', from)) != SIZE_MAX; from = at + 1) {
        struct slice rest = slice_from(in, at + 1);
        if (slice_starts(rest, S("\n")) || slice_starts(rest, S("\r\n")))
            return true;
    }
    return false;
}

static size_t max_head(const struct h1_parse *p)
{
    return p->max_head ? p->max_head : H1_MAX_HEAD;
}

/* Not whole: remember how far it was looked at, and stop one that grows too long. */
static err_t unfinished(struct h1_parse *p, struct slice in)
{
    size_t max = max_head(p);
    p->seen = in.n;
    if (in.n >= max)
        return fault(E_HEADER_TOO_LARGE, "the head is longer than %zu bytes", max);
    return NULL;
}

static bool worth_trying(struct h1_parse *p, struct slice in)
{
    return in.n && (p->seen == 0 || whole(p, in));
}

static uint16_t max_fields(const struct h1_parse *p)
{
    return p->max_fields ? p->max_fields : H1_MAX_FIELDS;
}

/* ---- Requests ---- */

static err_t method(struct reader *r, struct http_request *q)
{
    const char *from = r->at;
    if (r->end - from >= 4 && memcmp(from, "GET ", 4) == 0) { /* as most */
        q->method = M_GET;
        q->method_text = slice_of(from, 3);
        r->at += 4;
        return NULL;
    }
    while (r->at < r->end && kind[(unsigned char)*r->at] & TOKEN)
        r->at++;
    q->method_text = slice_of(from, (size_t)(r->at - from));
    if (q->method_text.n > H1_MAX_METHOD)
        return fault(E_METHOD_UNKNOWN, "method longer than %d bytes", H1_MAX_METHOD);
    if (r->at == r->end)
        return MORE;
    if (*r->at != ' ' || q->method_text.n == 0)
        return fault(r->bad, "this is not an HTTP request line");
    q->method = h1_method(q->method_text);
    r->at++;
    return NULL;
}

/* A path and nothing else, as most targets are: looked at once. */
static bool plain_target(struct reader *r, struct http_request *q)
{
    const char *from = r->at, *end = uri_plain_end(from, r->end);
    if (from == end || *from != '/' || end == r->end || *end != ' ' || end - from > H1_MAX_TARGET)
        return false;
    q->form = TARGET_ORIGIN;
    q->target_text = q->target.path = slice_of(from, (size_t)(end - from));
    r->at = end + 1;
    return true;
}

static err_t target(struct reader *r, struct http_request *q)
{
    const char *from = r->at;
    if (q->method != M_CONNECT && plain_target(r, q))
        return NULL;
    while (r->at < r->end && kind[(unsigned char)*r->at] & TARGET)
        r->at++;
    q->target_text = slice_of(from, (size_t)(r->at - from));
    if (q->target_text.n > H1_MAX_TARGET)
        return fault(E_URI_TOO_LONG, "longer than %d bytes", H1_MAX_TARGET);
    if (r->at == r->end)
        return MORE;
    if (*r->at == '\r' || *r->at == '\n')
        return fault(r->bad, "the request line has no HTTP version");
    if (*r->at != ' ')
        return fault(r->bad, "byte 0x%02x in the request target must be percent-encoded", (unsigned char)*r->at);
    if (q->target_text.n == 0)
        return fault(r->bad, "the request line has no target");
    r->at++;
    return NULL;
}

/* "HTTP/1.1" (RFC 9112 section 2.3). */
static err_t version(struct reader *r, uint8_t *out)
{
    size_t have = (size_t)(r->end - r->at);
    int other =
        have < 5 ? memcmp(r->at, "HTTP/", have) : memcmp(r->at, "HTTP/", 5); /* the usual length is a constant */
    if (other != 0)
        return fault(r->bad, "the request line does not end in HTTP/1.1");
    if (have < 8)
        return MORE;
    if (!ascii_digit(r->at[5]) || r->at[6] != '.' || !ascii_digit(r->at[7]))
        return fault(r->bad, "malformed HTTP version");
    if (r->at[5] != '1')
        return fault(E_HTTP_VERSION, "HTTP/%c.%c is not spoken here, HTTP/1.1 is", r->at[5], r->at[7]);
    *out = r->at[7] == '0' ? 10 : 11; /* a higher minor version is answered as 1.1 (RFC 9110 section 2.5) */
    r->at += 8;
    return NULL;
}

static err_t start_line(struct reader *r, struct http_request *q)
{
    while (r->at < r->end && (*r->at == '\r' || *r->at == '\n')) /* empty lines before it are ignored (section 2.2) */
        TRY(line_end(r));
    TRY(method(r, q));
    TRY(target(r, q));
    TRY(version(r, &q->version));
    if (r->at < r->end && *r->at != '\r' && *r->at != '\n')
        return fault(r->bad, "bytes after the HTTP version");
    return line_end(r);
}

/* What is too long may be the target alone, whose status is another one (RFC 9112 section 3). */
static err_t request_too_long(const struct h1_parse *p, const struct http_request *q)
{
    size_t max = max_head(p);
    bool in_target = q->target_text.n && (q->version == 0 || q->target_text.n >= max);
    return in_target ? fault(E_URI_TOO_LONG, "longer than %zu bytes", max)
                     : fault(E_HEADER_TOO_LARGE, "the head is longer than %zu bytes", max);
}

err_t h1_parse_request(struct h1_parse *p, struct slice in, struct arena *a, struct http_request *out, size_t *used)
{
    size_t max = max_head(p);
    *used = 0;
    if (in.n < max && !worth_trying(p, in))
        return unfinished(p, in);
    struct reader r = {in.p, in.p + in.n, p->accept_lf, false, E_BAD_REQUEST};
    *out = (struct http_request){0}; /* filled in place: it is large, and this runs for every request */
    err_t e = start_line(&r, out);
    if (!e)
        e = fields(&r, a, &out->fields, max_fields(p));
    if (e == MORE && in.n < max)
        return unfinished(p, in);
    if (e == MORE || (!e && (size_t)(r.at - in.p) > max))
        return request_too_long(p, out);
    TRY(e);
    TRY(h1_target(out, p->host));
    *used = (size_t)(r.at - in.p);
    p->seen = 0;
    return NULL;
}

/* ---- Responses ---- */

static err_t status_line_of(struct reader *r, struct http_response *s)
{
    size_t have = (size_t)(r->end - r->at);
    if (have < 12)
        return memcmp(r->at, "HTTP/1.", have < 7 ? have : 7) != 0 ? fault(r->bad, "this is not HTTP/1") : MORE;
    const char *p = r->at;
    if (memcmp(p, "HTTP/1.", 7) != 0 || !ascii_digit(p[7]) || p[8] != ' ')
        return fault(r->bad, "this is not an HTTP/1 status line");
    if (!ascii_digit(p[9]) || !ascii_digit(p[10]) || !ascii_digit(p[11]) || p[9] < '1' || p[9] > '9')
        return fault(r->bad, "malformed status code");
    s->version = p[7] == '0' ? 10 : 11;
    s->status = (uint16_t)((p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0'));
    r->at += 12;
    if (r->at == r->end)
        return MORE;
    if (*r->at == ' ') {
        const char *phrase = ++r->at;
        r->at = fields_value_end(phrase, r->end);
        s->reason = slice_of(phrase, (size_t)(r->at - phrase));
    } /* the space without a phrase is often left out, too */
    return line_end(r);
}

/* A folded line goes on with the value before it, behind one space (RFC 9112 section 5.2). */
static err_t unfold(struct arena *a, struct http_field *last, struct slice more)
{
    if (fields_value_ok(more) && more.n)
        last->value = arena_format(a, "%.*s%s%.*s", SLICE_ARG(last->value), last->value.n ? " " : "", SLICE_ARG(more));
    return last->value.p ? NULL : E_NO_MEMORY;
}

/* Lines of servers that were never told: ones without a colon are skipped, but a NUL is too much (RFC 9110
 * section 5.5). */
static err_t lenient_fields(struct reader *r, struct arena *a, struct http_fields *f, uint16_t max)
{
    int folds = 0;
    for (bool kept = false;;) {
        const char *nl = r->at < r->end ? memchr(r->at, '\n', (size_t)(r->end - r->at)) : NULL;
        if (!nl)
            return MORE;
        struct slice line = slice_of(r->at, (size_t)(nl - r->at));
        r->at = nl + 1;
        if (slice_ends(line, S("\r")))
            line.n--;
        if (line.n == 0)
            return NULL;
        size_t colon = slice_find(line, ':', 0);
        struct slice name = slice_trim(slice_first(line, colon == SIZE_MAX ? 0 : colon));
        struct slice value = slice_trim(slice_from(line, colon == SIZE_MAX ? line.n : colon + 1));
        if (slice_has(line, 0))
            return fault(r->bad, "a NUL in the head");
        if (line.p[0] == ' ' || line.p[0] == '\t') {
            if (++folds > FOLDS_MAX) /* each is a copy of the value so far */
                return fault(E_HEADER_TOO_LARGE, "more than %d folded lines", FOLDS_MAX);
            TRY(kept ? unfold(a, &f->v[f->n - 1], slice_trim(line)) : NULL);
            continue;
        }
        kept = fields_name_ok(name) && fields_value_ok(value);
        if (!kept)
            continue;
        TRY(room(a, f, max));
        (void)fields_push(f, name, value);
    }
}

err_t h1_parse_response(struct h1_parse *p, struct slice in, struct arena *a, struct http_response *out, size_t *used,
                        bool *headless)
{
    *used = 0;
    *headless = false;
    if (!worth_trying(p, in))
        return unfinished(p, in);
    struct reader r = {in.p, in.p + in.n, p->lenient || p->accept_lf, p->lenient, E_PROTO};
    struct http_response s = {0};
    while (p->lenient && r.at < r.end && (*r.at == '\r' || *r.at == '\n'))
        r.at++;
    if (r.at == r.end)
        return NULL;
    size_t have = (size_t)(r.end - r.at);
    if (p->lenient && memcmp(r.at, "HTTP/", have < 5 ? have : 5) != 0) {
        *out = (struct http_response){.status = 200, .version = 9};
        *headless = true;
        return NULL;
    }
    err_t e = status_line_of(&r, &s);
    if (!e)
        e = (p->lenient ? lenient_fields : fields)(&r, a, &s.fields, max_fields(p));
    if (e == MORE)
        return unfinished(p, in);
    TRY(e);
    if ((size_t)(r.at - in.p) > max_head(p))
        return fault(E_HEADER_TOO_LARGE, "the head is longer than %zu bytes", max_head(p));
    *out = s;
    *used = (size_t)(r.at - in.p);
    p->seen = 0;
    return NULL;
}

err_t h1_parse_trailers(struct slice in, struct arena *a, struct http_fields *out)
{
    struct reader r = {in.p, in.p + in.n, false, false, E_DATA};
    struct http_fields f = {0};
    err_t e = fields(&r, a, &f, H1_MAX_FIELDS);
    if (e == MORE || (!e && r.at != r.end))
        return fault(E_DATA, "unfinished trailer section");
    TRY(e);
    *out = f;
    return NULL;
}

bool h1_keep_alive(uint8_t version, const struct http_fields *f)
{
    if (version < 10)
        return false;
    if (!fields_has(f, F_CONNECTION))
        return version >= 11;
    if (fields_has_token(f, F_CONNECTION, S("close")))
        return false;
    return version >= 11 || fields_has_token(f, F_CONNECTION, S("keep-alive"));
}
