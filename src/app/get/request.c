/* SPDX-License-Identifier: MIT */
/* request.c -- from the configuration and the URL of this hop to the request that is sent. */
#include <stdlib.h>

#include "app/get/get_impl.h"
#include "app/get/rules.h"
#include "base/text.h"
#include "http/basic.h"
#include "http/fields.h"
#include "http/uri.h"
#include "net/idn.h"
#include "rt/loop.h"

/* ---- The URL ---- */

static bool is_escape(struct slice s, size_t at)
{
    return s.n - at > 2 && ascii_hex(s.p[at + 1]) >= 0 && ascii_hex(s.p[at + 2]) >= 0;
}

/* Spaces, controls and bytes outside of ASCII become escapes, as they do when a browser is given them; so does a % that
   begins none. */
static err_t clean(struct slice typed, struct buf *out)
{
    size_t plain = 0; /* where the bytes begin that go as they are */
    for (size_t i = 0; i < typed.n; i++) {
        unsigned char c = (unsigned char)typed.p[i];
        if (c > ' ' && c < 0x7f && (c != '%' || is_escape(typed, i)))
            continue;
        TRY(buf_add(out, slice_of(typed.p + plain, i - plain)));
        TRY(buf_format(out, "%%%02X", c));
        plain = i + 1;
    }
    return buf_add(out, slice_from(typed, plain));
}

static err_t check_url(const struct uri *u)
{
    if (!slice_eq_case(u->scheme, S("http")) && !slice_eq_case(u->scheme, S("https")))
        return fault(E_USAGE, "'%.*s:' is not supported (http and https are)", SLICE_ARG(u->scheme));
    if (u->host.n == 0)
        return fault(E_USAGE, "there is no host in the URL");
    return NULL;
}

/* A name outside of ASCII has come percent-encoded (RFC 3986 section 3.2.2); it is looked up and sent in its xn-- form.
 */
static err_t ascii_host(struct arena *a, struct uri *u)
{
    AUTO(buf_free) struct buf name = {0};
    if (!slice_has(u->host, '%'))
        return NULL;
    struct slice ascii = SLICE_NONE, utf8;
    if (!text_percent_decode(u->host, &name) && text_utf8_valid(utf8 = buf_slice(&name)))
        TRY(idn_to_ascii(a, utf8, &ascii));
    if (!ascii.p || ascii.p == name.p) /* an escape of what no name has */
        return fault(E_USAGE, "the host '%.*s' is no name", SLICE_ARG(u->host));
    u->host = ascii;
    return NULL;
}

/* --get: the data goes behind the question mark. */
static err_t add_query(struct transfer *t)
{
    struct slice data = buf_slice(&t->payload.text);
    if (t->payload.count > 1 || (t->payload.count && t->payload.pieces[0].fd >= 0))
        return fault(E_USAGE, "--get with a form or an upload");
    t->payload.method = NULL;
    if (data.n == 0)
        return NULL;
    t->url.query =
        arena_format(&t->arena, "%.*s%s%.*s", SLICE_ARG(t->url.query), t->url.query.n ? "&" : "", SLICE_ARG(data));
    t->url.has_query = true;
    return t->url.query.p ? NULL : E_NO_MEMORY;
}

/* Only what is compared is put in its normal form: a path may be signed as it is. */
err_t request_redirect(struct transfer *t, struct slice location, struct uri *next)
{
    AUTO(buf_free) struct buf text = {0};
    struct uri reference, normal;
    TRY(clean(location, &text));
    struct slice kept = arena_copy(&t->arena, buf_slice(&text));
    if (!kept.p)
        return E_NO_MEMORY;
    TRY(uri_parse(kept, &reference));
    TRY(uri_resolve(&t->arena, &t->url, &reference, next));
    TRY(uri_normalise(&t->arena, next, &normal));
    next->scheme = normal.scheme;
    next->host = normal.host;
    return ascii_host(&t->arena, next);
}

err_t request_url(struct transfer *t, struct slice typed)
{
    AUTO(buf_free) struct buf text = {0};
    struct uri u;
    bool scheme = slice_find_slice(typed, S("://")) < slice_find(typed, '/', 0);
    if (!scheme)
        TRY(buf_add(&text, S("http://")));
    TRY(clean(typed, &text));
    struct slice kept = arena_copy(&t->arena, buf_slice(&text));
    if (!kept.p)
        return E_NO_MEMORY;
    TRY(uri_parse(kept, &u));
    TRY(check_url(&u));
    if (t->run->conf->textbook)
        t->url = u; /* the path as it was typed */
    else
        TRY(uri_normalise(&t->arena, &u, &t->url));
    TRY(ascii_host(&t->arena, &t->url));
    if (t->url.path.n == 0)
        t->url.path = S("/");
    TRY(payload_make(t->run->conf, &t->payload));
    if (t->run->conf->data_in_url && t->payload.method)
        TRY(add_query(t));
    t->first_url = t->url;
    return NULL;
}

/* ---- Fields ---- */

struct draft {
    struct transfer *t;
    struct arena *arena;
    struct http_fields *fields;
    bool home; /* this hop goes to the origin that the user named: what is secret may go along */
};

static struct slice line_name(const char *line)
{
    size_t n = strcspn(line, ":;");
    return slice_of(line, n);
}

/* Has -H something to say about this name (another value, or none)? */
static bool user_has(const struct draft *d, struct slice name)
{
    const struct get_list *h = &d->t->run->conf->headers;
    for (size_t i = 0; i < h->n; i++)
        if (slice_eq_case(line_name(h->v[i]), name))
            return true;
    return false;
}

static err_t add(struct draft *d, struct slice name, struct slice value)
{
    return fields_add(d->arena, d->fields, name, value) ? NULL : E_NO_MEMORY;
}

static err_t add_default(struct draft *d, const char *name, struct slice value)
{
    return value.n == 0 || user_has(d, slice_z(name)) ? NULL : add(d, slice_z(name), value);
}

static bool secret(struct slice name)
{
    return slice_eq_case(name, S("Authorization")) || slice_eq_case(name, S("Cookie")) ||
           slice_eq_case(name, S("Host"));
}

static err_t add_user_lines(struct draft *d)
{
    const struct get_list *h = &d->t->run->conf->headers;
    for (size_t i = 0; i < h->n; i++) {
        struct slice line = slice_z(h->v[i]), name = line_name(h->v[i]);
        struct slice value = slice_trim(slice_from(line, name.n + 1));
        bool empty = name.n < line.n && line.p[name.n] == ';';
        if (name.n == line.n)
            return fault(E_USAGE, "-H '%s': NAME: VALUE is wanted", h->v[i]);
        if (!fields_name_ok(name) || !fields_value_ok(value))
            return fault(E_USAGE, "-H '%s': a character that is not allowed", h->v[i]);
        if ((value.n == 0 && !empty) || (secret(name) && !d->home))
            continue;
        TRY(add(d, name, empty ? S("") : value));
    }
    return NULL;
}

static err_t add_authorization(struct draft *d)
{
    const struct get_conf *c = d->t->run->conf;
    struct slice value = SLICE_NONE;
    if (d->home && c->bearer)
        value = arena_format(d->arena, "Bearer %s", c->bearer);
    else if (d->home && c->user)
        value = basic_pair(d->arena, slice_z(c->user));
    else if (d->t->url.has_userinfo)
        value = basic_userinfo(d->arena, d->t->url.userinfo);
    return add_default(d, "Authorization", value);
}

static err_t add_cookies(struct draft *d)
{
    struct run *r = d->t->run;
    const struct uri *u = &d->t->url;
    AUTO(buf_free) struct buf b = {0};
    if (r->jar_used) {
        struct cookie_origin to = {u->host, u->path, slice_eq(u->scheme, S("https"))};
        TRY(cookie_jar_header(&r->jar, &to, wall_now() / TICK_S, &b));
    }
    const char *own = r->conf->cookie;
    if (own && strchr(own, '=') && d->home)
        TRY(buf_format(&b, "%s%s", b.n ? "; " : "", own));
    return b.n ? add_default(d, "Cookie", arena_copy(d->arena, buf_slice(&b))) : NULL;
}

/* Ask for the rest only, and only if it is still the same thing (RFC 9110 section 13.1.5). */
static err_t add_range(struct draft *d)
{
    const struct transfer *t = d->t;
    if (t->resuming) {
        struct slice v = t->output.validator;
        TRY(add_default(d, "Range", arena_format(d->arena, "bytes=%llu-", (unsigned long long)t->start)));
        return v.n ? add_default(d, "If-Range", v) : NULL;
    }
    const char *range = t->run->conf->range;
    return range ? add_default(d, "Range", arena_format(d->arena, "bytes=%s", range)) : NULL;
}

/* Where the rest of an upload belongs (RFC 9110 section 14.5). */
static err_t add_content_range(struct draft *d)
{
    const struct payload *p = &d->t->payload;
    unsigned long long from = p->skipped, total = from + (p->count ? p->pieces[0].size : 0);
    return from
               ? add_default(d, "Content-Range", arena_format(d->arena, "bytes %llu-%llu/%llu", from, total - 1, total))
               : NULL;
}

static err_t add_fields(struct draft *d)
{
    const struct get_conf *c = d->t->run->conf;
    const struct payload *p = &d->t->payload;
    bool json = c->data_count && c->data[0].kind == DATA_JSON;
    bool body = p->method && !d->t->drop_body;
    TRY(add_authorization(d));
    TRY(add_default(d, "User-Agent", slice_z(c->user_agent)));
    TRY(add_default(d, "Accept", json ? S("application/json") : S("*/*")));
    if (c->compressed)
        TRY(add_default(d, "Accept-Encoding", S(CODING_ACCEPT_ALL)));
    TRY(add_default(d, "Referer", slice_z(c->referer)));
    TRY(add_range(d));
    TRY(add_cookies(d));
    if (body)
        TRY(add_default(d, "Content-Type", buf_slice(&p->type)));
    if (body)
        TRY(add_content_range(d));
    return add_user_lines(d);
}

/* ---- The proxy ---- */

static const char *environment(const char *lower, const char *upper)
{
    const char *v = getenv(lower);
    return v && *v ? v : upper ? getenv(upper) : NULL;
}

/* HTTP_PROXY in capitals is not read: a CGI script's client could set it by a Proxy: field (httpoxy). */
static const char *proxy_text(const struct get_conf *c, bool secure)
{
    if (c->proxy)
        return c->proxy;
    const char *v = secure ? environment("https_proxy", "HTTPS_PROXY") : environment("http_proxy", NULL);
    return v && *v ? v : environment("all_proxy", "ALL_PROXY");
}

static bool excused(const struct get_conf *c, const struct uri *u)
{
    const char *list = c->no_proxy ? c->no_proxy : environment("no_proxy", "NO_PROXY");
    return list && rules_no_proxy(slice_z(list), u->host, uri_port(u));
}

static err_t choose_proxy(struct draft *d, struct request_parts *out)
{
    enum { PROXY_PORT = 1080 }; /* curl's */
    const struct get_conf *c = d->t->run->conf;
    const char *text = proxy_text(c, out->request.secure);
    struct uri u;
    if (!text || !*text || c->unix_path || excused(c, &d->t->url))
        return NULL;
    struct slice url = strstr(text, "://") ? slice_z(text) : arena_format(d->arena, "http://%s", text);
    TRY(uri_parse(url, &u));
    out->proxy.secure = slice_eq_case(u.scheme, S("https"));
    if ((!out->proxy.secure && !slice_eq_case(u.scheme, S("http"))) || !u.host.n)
        return fault(E_USAGE, "proxy '%s': http://HOST:PORT or https://HOST:PORT is wanted", text);
    out->proxy.host = u.host;
    out->proxy.port = u.port ? u.port : out->proxy.secure ? 443 : PROXY_PORT;
    if (c->proxy_user)
        out->proxy.authorization = basic_pair(d->arena, slice_z(c->proxy_user));
    else if (u.has_userinfo)
        out->proxy.authorization = basic_userinfo(d->arena, u.userinfo);
    out->request.proxy = &out->proxy;
    out->request.tunnel = c->tunnel;
    return NULL;
}

/* ---- All together ---- */

static struct slice method_of(const struct transfer *t)
{
    const struct get_conf *c = t->run->conf;
    if (c->method)
        return slice_z(c->method);
    if (c->head_only)
        return S("HEAD");
    return t->payload.method ? slice_z(t->payload.method) : S("GET");
}

err_t request_make(struct transfer *t, struct arena *arena, struct request_parts *out)
{
    const struct get_conf *c = t->run->conf;
    const struct uri *u = &t->url;
    *out = (struct request_parts){0};
    struct draft d = {t, arena, &out->fields, c->trust_location || rules_same_origin(u, &t->first_url)};
    if (!t->method.n)
        t->method = method_of(t);
    TRY(add_fields(&d));
    struct client_request *rq = &out->request;
    rq->method = t->method;
    rq->secure = slice_eq(u->scheme, S("https"));
    rq->host = u->host;
    rq->port = uri_port(u);
    rq->target = u->has_query ? arena_format(arena, "%.*s?%.*s", SLICE_ARG(u->path), SLICE_ARG(u->query)) : u->path;
    rq->fields = &out->fields;
    if (!t->drop_body)
        rq->body = payload_body(&t->payload);
    if (rq->body.rewind)
        TRY(rq->body.rewind(rq->body.arg));
    rq->unix_path = c->unix_path;
    return rq->target.p ? choose_proxy(&d, out) : E_NO_MEMORY;
}
