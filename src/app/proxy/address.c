/* SPDX-License-Identifier: MIT */
/*
 * address.c -- the address form of the textbook exercise: http://PROXY/www.example.org/path fetches
 * http://www.example.org/path, and /https://host/path the https one. Absolute links that come back (Location,
 * Content-Location) and the Path of cookies are moved beneath that prefix; a relative link such as
 * /style.css reaches the proxy without it and is redirected to the host that its Referer names.
 */
#include "app/proxy/internal.h"

#include "http/uri.h"

/* A first segment that may be a host: a dot, a port or "localhost", and nothing that no host has. */
static bool looks_like_host(struct slice s)
{
    bool dot = false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!ascii_alpha(c) && !ascii_digit(c) && !strchr("-._:[]", c))
            return false;
        dot |= c == '.' || c == ':';
    }
    size_t last = s.n;
    while (last && s.p[last - 1] != '.')
        last--;
    /* "style.css" is a file: a host's last label is a port's digits, an address, or a name that no file ends with. */
    struct slice ending = slice_from(s, last);
    static const struct slice files[] = {S("css"),  S("js"),   S("ico"),   S("html"), S("htm"),  S("png"), S("jpg"),
                                         S("jpeg"), S("gif"),  S("svg"),   S("webp"), S("json"), S("xml"), S("txt"),
                                         S("php"),  S("woff"), S("woff2"), S("map"),  S("mjs"),  S("pdf")};
    for (size_t i = 0; last && i < sizeof files / sizeof files[0]; i++)
        if (slice_eq_case(ending, files[i]))
            return false;
    return s.n && (dot || slice_eq_case(s, S("localhost")));
}

/* "/host/path" or "/scheme://host/path" into a URI. */
static bool parse_path(struct slice path, struct uri *out)
{
    struct slice rest = slice_from(path, 1), scheme = S("http");
    if (slice_starts_case(rest, S("http://")) || slice_starts_case(rest, S("https://"))) {
        scheme = slice_first(rest, slice_find(rest, ':', 0));
        rest = slice_from(rest, scheme.n + 3);
    } else if (!looks_like_host(slice_first(rest, slice_find(rest, '/', 0)))) {
        return false;
    }
    size_t slash = slice_find(rest, '/', 0);
    struct uri u;
    if (uri_parse_authority(slice_first(rest, slash), &u) || u.has_userinfo || !u.host.n) {
        fault_clear();
        return false;
    }
    u.scheme = scheme;
    u.path = slash == SIZE_MAX ? S("/") : slice_from(rest, slash);
    *out = u;
    return true;
}

bool address_route(struct job *j)
{
    struct uri u;
    if (!parse_path(j->in->target.path, &u))
        return false;
    u.query = j->in->target.query;
    u.has_query = j->in->target.has_query;
    j->target = u;
    return true;
}

/* "/www.example.org" or "/https://www.example.org": what stands in front of the path. */
static struct slice prefix(struct job *j, const struct uri *u)
{
    struct buf b = {.max = 600};
    bool tls = slice_eq_case(u->scheme, S("https"));
    err_t e = buf_add(&b, tls ? S("/https://") : S("/"));
    e = e ? e : uri_add_authority(&b, u);
    struct slice out = e ? SLICE_NONE : arena_copy(j->arena, buf_slice(&b));
    buf_free(&b);
    return out;
}

struct slice address_referer(struct job *j)
{
    struct uri page, u;
    struct slice referer = fields_get(&j->in->fields, F_REFERER);
    if (!referer.n || uri_parse(referer, &page) || !slice_eq_case(page.host, j->in->target.host) ||
        uri_port(&page) != (j->in->target.port ? j->in->target.port : 80) || !parse_path(page.path, &u)) {
        fault_clear();
        return SLICE_NONE;
    }
    struct slice head = prefix(j, &u);
    return head.n ? arena_format(j->arena, "%.*s%.*s", SLICE_ARG(head), SLICE_ARG(j->in->target_text)) : SLICE_NONE;
}

/* An absolute or host-relative link beneath the prefix; others stay. */
static struct slice move_link(struct job *j, struct slice link)
{
    struct uri parsed, u;
    if (uri_parse(link, &parsed)) {
        fault_clear();
        return link;
    }
    if (!parsed.host.n && !slice_starts(link, S("/")) && slice_find_slice(link, S("..")) == SIZE_MAX)
        return link; /* relative to the page and below it: right as it is */
    if (uri_resolve(j->arena, &j->target, &parsed, &u) || !slice_starts_case(u.scheme, S("http"))) {
        fault_clear();
        return link;
    }
    struct slice head = prefix(j, &u);
    struct slice moved =
        arena_format(j->arena, "%.*s%.*s%s%.*s%s%.*s", SLICE_ARG(head), SLICE_ARG(u.path), u.has_query ? "?" : "",
                     SLICE_ARG(u.query), u.has_fragment ? "#" : "", SLICE_ARG(u.fragment));
    return head.n && moved.p ? moved : link;
}

/* The Path of a cookie gets the prefix; Domain goes, since the browser sees the proxy's own host. */
static struct slice move_cookie(struct job *j, struct slice value)
{
    struct buf b = {.max = 16 << 10};
    struct slice rest = value, part, head = prefix(j, &j->target);
    err_t e = NULL;
    bool first = true, has_path = false;
    while (!e && slice_cut(&rest, ';', &part)) {
        struct slice s = slice_trim(part);
        if (slice_starts_case(s, S("domain=")))
            continue;
        e = first ? NULL : buf_add(&b, S("; "));
        if (!e && slice_starts_case(s, S("path=/"))) {
            e = buf_format(&b, "Path=%.*s%.*s", SLICE_ARG(head), SLICE_ARG(slice_from(s, 5)));
            has_path = true;
        } else if (!e) {
            e = buf_add(&b, s);
        }
        first = false;
    }
    if (!e && !has_path)
        e = buf_format(&b, "; Path=%.*s/", SLICE_ARG(head));
    struct slice out = e ? value : arena_copy(j->arena, buf_slice(&b));
    buf_free(&b);
    return out;
}

err_t address_rewrite(struct job *j, struct http_fields *f)
{
    for (uint16_t i = 0; i < f->n; i++) {
        struct slice *v = &f->v[i].value;
        if (f->v[i].id == F_LOCATION || f->v[i].id == F_CONTENT_LOCATION)
            *v = move_link(j, *v);
        else if (f->v[i].id == F_SET_COOKIE)
            *v = move_cookie(j, *v);
        else
            continue;
        f->v[i].checked = false;
        if (!v->p)
            return E_NO_MEMORY;
    }
    return NULL;
}
