/* SPDX-License-Identifier: MIT */
#include "http/uri.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Classes of bytes (RFC 3986 section 2 and appendix A), one bit each. */
enum { UNRESERVED = 1, SUB_DELIM = 2, PATHISH = 4, SCHEME = 8, TOLERATED = 16, QUERY = 32 };
static const uint8_t classes[256] = {
    ['A' ... 'Z'] = UNRESERVED | SCHEME,
    ['a' ... 'z'] = UNRESERVED | SCHEME,
    ['0' ... '9'] = UNRESERVED | SCHEME,
    ['-'] = UNRESERVED | SCHEME,
    ['.'] = UNRESERVED | SCHEME,
    ['_'] = UNRESERVED,
    ['~'] = UNRESERVED,
    ['+'] = SUB_DELIM | SCHEME,
    ['!'] = SUB_DELIM,
    ['$'] = SUB_DELIM,
    ['&' ... '*'] = SUB_DELIM,
    [','] = SUB_DELIM,
    [';'] = SUB_DELIM,
    ['='] = SUB_DELIM,
    [':'] = PATHISH,
    ['@'] = PATHISH,
    ['/'] = PATHISH,
    ['?'] = QUERY,
    ['['] = TOLERATED,
    [']'] = TOLERATED,
    ['^'] = TOLERATED,
    ['`'] = TOLERATED,
    ['{' ... '}'] = TOLERATED,
};

static inline unsigned class_of(char c)
{
    return classes[(unsigned char)c];
}

static bool escape_at(struct slice s, size_t i)
{
    return i + 2 < s.n && ascii_hex(s.p[i + 1]) >= 0 && ascii_hex(s.p[i + 2]) >= 0;
}

/* How far `s` consists of such bytes and whole escapes. */
static size_t span(struct slice s, unsigned allowed)
{
    for (size_t i = 0;; i += 3) {
        while (i < s.n && class_of(s.p[i]) & allowed)
            i++;
        if (i == s.n || s.p[i] != '%' || !escape_at(s, i))
            return i;
    }
}

enum { IN_PATH = UNRESERVED | SUB_DELIM | PATHISH | TOLERATED };

const char *uri_plain_end(const char *p, const char *end)
{
#ifdef __SSE2__
    /* Of what is printed in ASCII all but " # % < > ? and the backslash. */
    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p), odd = _mm_or_si128(v, _mm_set1_epi8(1));
        __m128i stop = _mm_cmplt_epi8(v, _mm_set1_epi8('!')); /* signed: bytes outside of ASCII, too */
        stop = _mm_or_si128(stop, _mm_cmpeq_epi8(odd, _mm_set1_epi8('#')));
        stop = _mm_or_si128(stop, _mm_cmpeq_epi8(odd, _mm_set1_epi8('?')));
        stop = _mm_or_si128(stop, _mm_cmpeq_epi8(v, _mm_set1_epi8('%')));
        stop = _mm_or_si128(stop, _mm_cmpeq_epi8(v, _mm_set1_epi8('<')));
        stop = _mm_or_si128(stop, _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
        stop = _mm_or_si128(stop, _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f)));
        int mask = _mm_movemask_epi8(stop);
        if (mask)
            return p + __builtin_ctz((unsigned)mask);
    }
#endif
    while (p < end && class_of(*p) & IN_PATH)
        p++;
    return p;
}

static err_t refuse(char c, const char *what)
{
    if (c == '%')
        return fault(E_DATA, "%s: '%%' must be followed by two hexadecimal digits", what);
    return fault(E_DATA, "%s: byte 0x%02x must be percent-encoded", what, (unsigned char)c);
}

static err_t check(struct slice s, unsigned allowed, const char *what)
{
    size_t n = span(s, allowed);
    return n == s.n ? NULL : refuse(s.p[n], what);
}

static err_t parse_port(struct slice s, uint16_t *port)
{
    uint64_t v = 0;
    if (s.n == 0)
        return NULL; /* "host:" is allowed and means the default (section 3.2.3) */
    if (!slice_u64(s, &v) || v > UINT16_MAX || v == 0)
        return fault(E_DATA, "port \"%.*s\" is not a number from 1 to 65535", (int)(s.n < 20 ? s.n : 20), s.p);
    *port = (uint16_t)v;
    return NULL;
}

/* "[v6]:port", the opening bracket being there. */
static err_t parse_bracketed(struct slice s, struct uri *u)
{
    size_t end = slice_find(s, ']', 0);
    if (end == SIZE_MAX || end < 3)
        return fault(E_DATA, "unfinished IPv6 address");
    u->host = slice_of(s.p + 1, end - 1);
    u->ipv6 = true;
    for (size_t i = 0; i < u->host.n; i++)
        if (ascii_hex(u->host.p[i]) < 0 && u->host.p[i] != ':' && u->host.p[i] != '.')
            return fault(E_DATA, "not an IPv6 address");
    if (!slice_has(u->host, ':'))
        return fault(E_DATA, "not an IPv6 address");
    struct slice rest = slice_from(s, end + 1);
    if (rest.n && rest.p[0] != ':')
        return fault(E_DATA, "bytes after an IPv6 address");
    return parse_port(slice_from(rest, 1), &u->port);
}

/* The last '@' ends the userinfo. */
static err_t parse_userinfo(struct slice *rest, struct uri *u)
{
    const char *at = memrchr(rest->p, '@', rest->n);
    if (!at)
        return NULL;
    u->userinfo = slice_first(*rest, (size_t)(at - rest->p));
    u->has_userinfo = true;
    *rest = slice_from(*rest, u->userinfo.n + 1);
    return check(u->userinfo, UNRESERVED | SUB_DELIM | PATHISH, "user");
}

static err_t parse_authority(struct slice s, struct uri *u)
{
    u->has_authority = true;
    size_t end = span(s, UNRESERVED | SUB_DELIM);
    if (end < s.n) { /* not a mere name */
        TRY(parse_userinfo(&s, u));
        if (s.n && s.p[0] == '[')
            return parse_bracketed(s, u);
        if (u->has_userinfo)
            end = span(s, UNRESERVED | SUB_DELIM);
    }
    u->host = slice_first(s, end);
    if (end == s.n)
        return NULL;
    return s.p[end] == ':' ? parse_port(slice_from(s, end + 1), &u->port) : refuse(s.p[end], "host");
}

err_t uri_parse_authority(struct slice s, struct uri *out)
{
    struct uri u = {0};
    TRY(parse_authority(s, &u));
    *out = u;
    return NULL;
}

static struct slice cut_at(struct slice *rest, char a, char b, char c)
{
    size_t i = 0;
    while (i < rest->n && rest->p[i] != a && rest->p[i] != b && rest->p[i] != c)
        i++;
    struct slice head = slice_first(*rest, i);
    *rest = slice_from(*rest, i);
    return head;
}

/* Path, query and fragment, from where the path begins. */
static err_t parse_rest(struct slice s, struct uri *u)
{
    size_t end = span(s, IN_PATH);
    u->path = slice_first(s, end);
    if (end < s.n && s.p[end] == '?') {
        s = slice_from(s, end + 1);
        end = span(s, IN_PATH | QUERY);
        u->query = slice_first(s, end);
        u->has_query = true;
    }
    if (end == s.n)
        return NULL;
    if (s.p[end] != '#')
        return refuse(s.p[end], u->has_query ? "query" : "path");
    u->fragment = slice_from(s, end + 1);
    u->has_fragment = true;
    return check(u->fragment, IN_PATH | QUERY, "fragment");
}

err_t uri_parse_origin(struct slice s, struct uri *out)
{
    struct uri u = {0};
    if (s.n == 0 || s.p[0] != '/')
        return fault(E_DATA, "path: must begin with '/'");
    TRY(parse_rest(s, &u));
    if (u.has_fragment)
        return fault(E_DATA, "path: a fragment ('#') is never sent");
    *out = u;
    return NULL;
}

/* Length of the scheme when the reference begins with one. */
static size_t scheme_length(struct slice s)
{
    if (s.n == 0 || !ascii_alpha(s.p[0]))
        return 0;
    size_t i = 1;
    while (i < s.n && class_of(s.p[i]) & SCHEME)
        i++;
    return i < s.n && s.p[i] == ':' ? i : 0;
}

err_t uri_parse(struct slice s, struct uri *out)
{
    struct uri u = {0};
    size_t scheme = scheme_length(s);
    if (scheme) {
        u.scheme = slice_first(s, scheme);
        s = slice_from(s, scheme + 1);
    }
    if (slice_starts(s, S("//"))) {
        s = slice_from(s, 2);
        TRY(parse_authority(cut_at(&s, '/', '?', '#'), &u));
    }
    TRY(parse_rest(s, &u));
    if (!u.scheme.n && !u.has_authority && u.path.n && u.path.p[0] != '/') {
        struct slice path = u.path, first = cut_at(&path, '/', '/', '/');
        if (slice_has(first, ':'))
            return fault(E_DATA, "scheme: not a scheme before ':'");
    }
    *out = u;
    return NULL;
}

uint16_t uri_default_port(struct slice scheme)
{
    if (slice_eq_case(scheme, S("http")) || slice_eq_case(scheme, S("ws")))
        return 80;
    return slice_eq_case(scheme, S("https")) || slice_eq_case(scheme, S("wss")) ? 443 : 0;
}

uint16_t uri_port(const struct uri *u)
{
    return u->port ? u->port : uri_default_port(u->scheme);
}

/* ---- Normalising ---- */

static struct slice lower(struct arena *a, struct slice s)
{
    struct slice copy = arena_copy(a, s);
    for (size_t i = 0; i < copy.n; i++)
        ((char *)(uintptr_t)copy.p)[i] = ascii_lower(copy.p[i]);
    return copy;
}

/* Escapes in upper case, those of unreserved characters decoded (sections 6.2.2.1 and 6.2.2.2). */
static struct slice normal_escapes(struct arena *a, struct slice s)
{
    static const char hex[] = "0123456789ABCDEF";
    char *p = arena_new(a, s.n + 1, 1);
    size_t n = 0;
    if (!p)
        return SLICE_NONE;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '%' || !escape_at(s, i)) {
            p[n++] = s.p[i];
            continue;
        }
        unsigned byte = (unsigned)(ascii_hex(s.p[i + 1]) << 4 | ascii_hex(s.p[i + 2]));
        if (byte < 0x80 && class_of((char)byte) & UNRESERVED) {
            p[n++] = (char)byte;
        } else {
            p[n++] = '%';
            p[n++] = hex[byte >> 4];
            p[n++] = hex[byte & 15];
        }
        i += 2;
    }
    return slice_of(p, n);
}

static size_t drop_last(const char *p, size_t n)
{
    while (n && p[n - 1] != '/')
        n--;
    return n ? n - 1 : 0;
}

/* Section 5.2.4, in place. */
static struct slice remove_dots(char *p, size_t length)
{
    struct slice in = slice_of(p, length);
    size_t n = 0;
    while (in.n) {
        if (slice_starts(in, S("../")) || slice_starts(in, S("./"))) {
            in = slice_from(in, in.p[1] == '.' ? 3 : 2);
        } else if (slice_starts(in, S("/./"))) {
            in = slice_from(in, 2);
        } else if (slice_starts(in, S("/../"))) {
            in = slice_from(in, 3);
            n = drop_last(p, n);
        } else if (slice_eq(in, S("/.")) || slice_eq(in, S("/.."))) {
            if (in.n == 3)
                n = drop_last(p, n);
            p[n++] = '/';
            in.n = 0;
        } else if (slice_eq(in, S(".")) || slice_eq(in, S(".."))) {
            in.n = 0;
        } else {
            size_t end = slice_find(in, '/', 1);
            end = end == SIZE_MAX ? in.n : end;
            memmove(p + n, in.p, end);
            n += end;
            in = slice_from(in, end);
        }
    }
    return slice_of(p, n);
}

static struct slice without_dots(struct arena *a, struct slice path)
{
    struct slice copy = arena_copy(a, path);
    return copy.p ? remove_dots((char *)(uintptr_t)copy.p, copy.n) : copy;
}

err_t uri_normalise(struct arena *a, const struct uri *in, struct uri *out)
{
    struct uri u = *in;
    u.scheme = lower(a, in->scheme);
    u.host = lower(a, normal_escapes(a, in->host));
    struct slice path = normal_escapes(a, in->path);
    u.path = in->scheme.n || in->has_authority || slice_starts(path, S("/")) ? without_dots(a, path) : path;
    u.query = normal_escapes(a, in->query);
    u.fragment = normal_escapes(a, in->fragment);
    if (!u.scheme.p || !u.host.p || !path.p || !u.path.p || !u.query.p || !u.fragment.p)
        return E_TOO_LARGE;
    if (u.path.n == 0 && uri_default_port(u.scheme))
        u.path = S("/");
    if (u.port == uri_default_port(u.scheme))
        u.port = 0;
    *out = u;
    return NULL;
}

/* ---- Resolving ---- */

/* Section 5.2.3. */
static struct slice merge(struct arena *a, const struct uri *base, struct slice path)
{
    if (base->has_authority && base->path.n == 0)
        return arena_format(a, "/%.*s", SLICE_ARG(path));
    size_t keep = base->path.n;
    while (keep && base->path.p[keep - 1] != '/')
        keep--;
    return arena_format(a, "%.*s%.*s", (int)keep, keep ? base->path.p : "", SLICE_ARG(path));
}

static void take_authority(struct uri *u, const struct uri *from)
{
    u->host = from->host;
    u->userinfo = from->userinfo;
    u->port = from->port;
    u->has_authority = from->has_authority;
    u->has_userinfo = from->has_userinfo;
    u->ipv6 = from->ipv6;
}

err_t uri_resolve(struct arena *a, const struct uri *base, const struct uri *r, struct uri *out)
{
    struct uri u = *r;
    if (!r->scheme.n) {
        u.scheme = base->scheme;
        if (!r->has_authority) {
            take_authority(&u, base);
            if (r->path.n == 0) {
                u.path = base->path;
                u.query = r->has_query ? r->query : base->query;
                u.has_query = r->has_query || base->has_query;
                *out = u;
                return NULL;
            }
            if (r->path.p[0] != '/')
                u.path = merge(a, base, r->path);
        }
    }
    u.path = without_dots(a, u.path);
    if (!u.path.p)
        return E_TOO_LARGE;
    *out = u;
    return NULL;
}

/* ---- Writing ---- */

err_t uri_add_authority(struct buf *b, const struct uri *u)
{
    if (u->ipv6)
        TRY(buf_add_char(b, '['));
    TRY(buf_add(b, u->host));
    if (u->ipv6)
        TRY(buf_add_char(b, ']'));
    return u->port ? buf_format(b, ":%u", u->port) : NULL;
}

err_t uri_add(struct buf *b, const struct uri *u)
{
    if (u->scheme.n) {
        TRY(buf_add(b, u->scheme));
        TRY(buf_add_char(b, ':'));
    }
    if (u->has_authority) {
        TRY(buf_add(b, S("//")));
        if (u->has_userinfo) {
            TRY(buf_add(b, u->userinfo));
            TRY(buf_add_char(b, '@'));
        }
        TRY(uri_add_authority(b, u));
    }
    TRY(buf_add(b, u->path));
    if (u->has_query) {
        TRY(buf_add_char(b, '?'));
        TRY(buf_add(b, u->query));
    }
    if (u->has_fragment) {
        TRY(buf_add_char(b, '#'));
        TRY(buf_add(b, u->fragment));
    }
    return NULL;
}

/* ---- A path as a file name ---- */

/* One segment, decoded; SIZE_MAX when it may not be. */
static size_t decode_segment(struct slice s, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            if (!escape_at(s, i))
                return SIZE_MAX;
            c = (char)(ascii_hex(s.p[i + 1]) << 4 | ascii_hex(s.p[i + 2]));
            i += 2;
            if (c == '/')
                return SIZE_MAX; /* a slash in a name cannot be; as a separator it would be read in two ways */
        }
        if (c == 0)
            return SIZE_MAX;
        out[n++] = c;
    }
    return n;
}

static bool is_dots(const char *p, size_t n, size_t dots)
{
    return n == dots && p[0] == '.' && p[n - 1] == '.';
}

bool uri_path_decode(struct slice path, char *out, size_t *length)
{
    size_t n = 0;
    struct slice segment;
    while (slice_cut(&path, '/', &segment)) {
        size_t got = decode_segment(segment, out + n);
        if (got == SIZE_MAX)
            return false;
        if (got == 0 || is_dots(out + n, got, 1))
            continue;
        if (is_dots(out + n, got, 2)) {
            if (n == 0)
                return false;
            n = drop_last(out, n - 1); /* n - 1: the slash that ends the last segment */
            n += n > 0;
            continue;
        }
        n += got;
        if (path.p)
            out[n++] = '/';
    }
    *length = n;
    return true;
}
