/* SPDX-License-Identifier: MIT */
#include "http/cookie.h"

#include <libpsl.h>
#include <stdlib.h>

#include "base/addr.h"

void cookie_jar_init(struct cookie_jar *jar)
{
    list_init(&jar->cookies);
    jar->count = 0;
}

static void drop(struct cookie_jar *jar, struct cookie *c)
{
    list_remove(&c->link);
    jar->count--;
    free(c);
}

void cookie_jar_done(struct cookie_jar *jar)
{
    while (!list_empty(&jar->cookies))
        drop(jar, LIST_ENTRY(jar->cookies.next, struct cookie, link));
}

#define EACH_COOKIE(jar, c, next)                                                                                      \
    for (struct list *l_ = (jar)->cookies.next, *next = l_->next;                                                      \
         l_ != &(jar)->cookies && ((c) = LIST_ENTRY(l_, struct cookie, link), true); l_ = next, next = next->next)

static void drop_expired(struct cookie_jar *jar, int64_t now_s)
{
    struct cookie *c;
    EACH_COOKIE(jar, c, next)
    if (c->expires <= now_s)
        drop(jar, c);
}

void cookie_jar_end_session(struct cookie_jar *jar)
{
    struct cookie *c;
    EACH_COOKIE(jar, c, next)
    if (c->expires == COOKIE_SESSION)
        drop(jar, c);
}

/* ---- Matching (RFC 6265 sections 5.1.3 and 5.1.4) ---- */

static bool is_address(struct slice host)
{
    struct addr a;
    return addr_parse(host, 0, &a) == NULL;
}

static bool domain_match(struct slice host, struct slice domain)
{
    if (slice_eq_case(host, domain))
        return true;
    return host.n > domain.n && host.p[host.n - domain.n - 1] == '.' &&
           slice_eq_case(slice_from(host, host.n - domain.n), domain) && !is_address(host);
}

static bool path_match(struct slice path, struct slice cookie_path)
{
    if (!slice_starts(path, cookie_path))
        return false;
    return path.n == cookie_path.n || cookie_path.p[cookie_path.n - 1] == '/' || path.p[cookie_path.n] == '/';
}

static struct slice default_path(struct slice path)
{
    size_t last = 0;
    for (size_t i = 0; i < path.n; i++)
        if (path.p[i] == '/')
            last = i;
    return last == 0 ? S("/") : slice_first(path, last);
}

static bool public_suffix(struct slice domain)
{
    char z[256];
    if (!slice_to_z(domain, z, sizeof z))
        return true;
    for (char *p = z; *p; p++)
        *p = ascii_lower(*p);
    const psl_ctx_t *psl = psl_builtin();
    return psl && psl_is_public_suffix2(psl, z, PSL_TYPE_ANY);
}

/* ---- The jar ---- */

static struct cookie *find(struct cookie_jar *jar, const struct cookie *like)
{
    struct cookie *c;
    EACH_COOKIE(jar, c, next)
    if (slice_eq(c->name, like->name) && slice_eq_case(c->domain, like->domain) && slice_eq(c->path, like->path))
        return c;
    return NULL;
}

/* Keep the jar within its limits: the oldest cookie of a full domain, then the oldest of all. */
static void make_room(struct cookie_jar *jar, struct slice domain)
{
    struct cookie *c, *oldest = NULL;
    unsigned same = 0;
    EACH_COOKIE(jar, c, next)
    if (slice_eq_case(c->domain, domain)) {
        oldest = oldest ? oldest : c;
        same++;
    }
    if (same >= COOKIE_DOMAIN_MAX)
        drop(jar, oldest);
    else if (jar->count >= COOKIE_JAR_MAX)
        drop(jar, LIST_ENTRY(jar->cookies.next, struct cookie, link));
}

static struct slice keep(char **at, struct slice s, bool lower)
{
    char *start = *at;
    for (size_t i = 0; i < s.n; i++)
        start[i] = lower ? ascii_lower(s.p[i]) : s.p[i];
    *at += s.n;
    return slice_of(start, s.n);
}

/* The cookie and its text are one block. One that replaces another keeps its place (section 5.3, step 11). */
err_t cookie_jar_put(struct cookie_jar *jar, const struct cookie *like)
{
    struct cookie *old = find(jar, like);
    if (!old)
        make_room(jar, like->domain);
    struct cookie *c = malloc(sizeof *c + like->name.n + like->value.n + like->domain.n + like->path.n);
    if (!c)
        return E_NO_MEMORY;
    char *at = (char *)(c + 1);
    *c = *like;
    c->name = keep(&at, like->name, false);
    c->value = keep(&at, like->value, false);
    c->domain = keep(&at, like->domain, true);
    c->path = keep(&at, like->path, false);
    list_add_last(old ? &old->link : &jar->cookies, &c->link);
    jar->count++;
    if (old)
        drop(jar, old);
    return NULL;
}

/* Steps 4 to 6 of section 5.3: which hosts will see it. */
static err_t scope_of(const struct cookie_line *line, const struct cookie_origin *from, struct cookie *c)
{
    c->domain = from->host;
    c->host_only = true;
    if (line->domain.n == 0 || (slice_eq_case(line->domain, from->host) && is_address(from->host)))
        return NULL;
    if (!domain_match(from->host, line->domain))
        return fault(E_FORBIDDEN, "%.*s set a cookie for '%.*s'", SLICE_ARG(from->host), SLICE_ARG(line->domain));
    if (public_suffix(line->domain)) {
        if (slice_eq_case(line->domain, from->host))
            return NULL; /* a public suffix that is itself a host may have cookies of its own */
        return fault(E_FORBIDDEN, "a cookie for the public suffix '%.*s'", SLICE_ARG(line->domain));
    }
    c->domain = line->domain;
    c->host_only = false;
    return NULL;
}

/* "__Secure-" and "__Host-" promise how a cookie was set (draft-ietf-httpbis-rfc6265bis, section 4.1.3). */
static bool prefix_kept(const struct cookie_line *line, const struct cookie_origin *from)
{
    if (slice_starts_case(line->name, S("__Secure-")))
        return line->secure && from->secure;
    if (slice_starts_case(line->name, S("__Host-")))
        return line->secure && from->secure && line->domain.n == 0 && slice_eq(line->path, S("/"));
    return true;
}

/* An insecure origin must not touch what a secure one set under the same name ("leave secure cookies alone"). */
static bool shadows_secure(struct cookie_jar *jar, const struct cookie *new)
{
    struct cookie *c;
    EACH_COOKIE(jar, c, next)
    if (c->secure && slice_eq(c->name, new->name) && path_match(new->path, c->path) &&
        (domain_match(c->domain, new->domain) || domain_match(new->domain, c->domain)))
        return true;
    return false;
}

err_t cookie_jar_set(struct cookie_jar *jar, const struct cookie_origin *from, struct slice text, int64_t now_s)
{
    struct cookie_line line;
    if (!cookie_parse(text, now_s, &line))
        return fault(E_DATA, "Set-Cookie from %.*s", SLICE_ARG(from->host));
    struct cookie c = {.name = line.name, .value = line.value, .expires = line.expires};
    c.secure = line.secure, c.http_only = line.http_only;
    c.path = line.path.n ? line.path : default_path(from->path);
    TRY(scope_of(&line, from, &c));
    if (!prefix_kept(&line, from))
        return fault(E_FORBIDDEN, "the prefix of cookie '%.*s' is not earned", SLICE_ARG(line.name));
    if (!from->secure && (line.secure || shadows_secure(jar, &c)))
        return fault(E_FORBIDDEN, "secure cookie '%.*s' over http", SLICE_ARG(line.name));
    if (c.expires > now_s)
        return cookie_jar_put(jar, &c);
    struct cookie *old = find(jar, &c);
    if (old)
        drop(jar, old);
    return NULL;
}

static bool wanted(const struct cookie *c, const struct cookie_origin *to)
{
    bool host = c->host_only ? slice_eq_case(c->domain, to->host) : domain_match(to->host, c->domain);
    return host && path_match(to->path, c->path) && (!c->secure || to->secure);
}

/* Longer paths first, then the order of creation (section 5.4): few cookies of a jar match one request, so this looks
   for the next longest path each time rather than sorting a copy. */
err_t cookie_jar_header(struct cookie_jar *jar, const struct cookie_origin *to, int64_t now_s, struct buf *out)
{
    struct cookie *c;
    drop_expired(jar, now_s);
    bool first = true;
    for (size_t below = SIZE_MAX;;) {
        size_t longest = 0;
        EACH_COOKIE(jar, c, next)
        if (wanted(c, to) && c->path.n < below && c->path.n > longest)
            longest = c->path.n;
        if (longest == 0)
            return NULL;
        EACH_COOKIE(jar, c, next)
        if (c->path.n == longest && wanted(c, to)) {
            TRY(buf_format(out, "%s%.*s=", first ? "" : "; ", SLICE_ARG(c->name)));
            TRY(buf_add(out, c->value));
            first = false;
        }
        below = longest;
    }
}
