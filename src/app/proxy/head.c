/* SPDX-License-Identifier: MIT */
#include "app/proxy/head.h"

/* Fields that never pass, whatever Connection says (RFC 9110 section 7.6.1). */
static bool hop(const struct http_field *f)
{
    return fields_flags(f->id) & FIELD_HOP;
}

bool head_listed(const struct http_fields *f, struct slice name)
{
    struct fields_list walk = {.fields = f, .id = F_CONNECTION};
    for (struct slice token; fields_element(&walk, &token);)
        if (slice_eq_case(token, name))
            return true;
    return false;
}

/* As it is sent. */
static struct slice via_line(uint8_t version)
{
    return version == 20 ? S("Via: 2.0 l7\r\n") : version == 10 ? S("Via: 1.0 l7\r\n") : S("Via: 1.1 l7\r\n");
}

bool head_add_via(uint8_t version, struct arena *a, struct http_fields *out)
{
    struct slice line = via_line(version);
    struct http_field via = {slice_first(line, 3), slice_of(line.p + 5, line.n - 7), F_VIA, true};
    return fields_add_line(a, out, &via);
}

bool head_upgrades(const struct http_request *q)
{
    struct fields_list walk = {.fields = &q->fields, .id = F_UPGRADE};
    if (!fields_has(&q->fields, F_UPGRADE) || q->version < 11 || !head_listed(&q->fields, S("Upgrade")))
        return false;
    for (struct slice one; fields_element(&walk, &one);)
        if (slice_eq_case(one, S("h2c")) || slice_starts_case(one, S("HTTP/")))
            return false;
    return true;
}

bool head_upgrade_fits(const struct http_request *q, const struct http_fields *response)
{
    struct fields_list walk = {.fields = response, .id = F_UPGRADE};
    int n = 0;
    for (struct slice one; fields_element(&walk, &one); n++)
        if (!fields_has_token(&q->fields, F_UPGRADE, one))
            return false;
    return n > 0 && head_upgrades(q);
}

static bool is_condition(uint8_t id)
{
    return id == F_IF_NONE_MATCH || id == F_IF_MODIFIED_SINCE || id == F_IF_MATCH || id == F_IF_UNMODIFIED_SINCE ||
           id == F_IF_RANGE;
}

static bool request_drops(const struct head_request *h, const struct http_field *f, bool any_listed)
{
    if (f->id == F_HOST)
        return f->value.p != h->host.p;
    if (f->id == F_CONTENT_LENGTH)
        return true; /* written anew */
    if (f->id == F_EXPECT)
        return !h->expect;
    if (f->id == F_UPGRADE)
        return !h->upgrade;
    if (f->id == F_PROXY_AUTHORIZATION)
        return !h->keep_proxy_auth;
    if (hop(f) || (any_listed && f->id != F_CACHE_CONTROL && head_listed(&h->in->fields, f->name)))
        return true;
    if (h->drop_conditions && is_condition(f->id))
        return true;
    if (h->drop_range && (f->id == F_RANGE || f->id == F_IF_RANGE))
        return true;
    if (!h->forwarded.on)
        return false;
    return f->id == F_FORWARDED || f->id == F_X_FORWARDED_FOR || /* written anew, a trusted client's in front */
           (!h->forwarded.trusted && (f->id == F_X_FORWARDED_HOST || f->id == F_X_FORWARDED_PROTO));
}

/* Max-Forwards counts hops of TRACE and OPTIONS (RFC 9110 section 7.6.2); the caller has answered those at 0. */
static struct slice one_less(struct arena *a, struct slice value)
{
    uint64_t n;
    return slice_u64(value, &n) && n ? arena_format(a, "%llu", (unsigned long long)(n - 1)) : value;
}

/* ---- Lines of our own, right behind one another as they are sent: they are copied there in one piece ---- */

/* The line from `from` to `end`, which begins with its name and ": ". There is room in `out`. */
static inline char *line_done(struct http_fields *out, enum http_field_id id, size_t name, char *from, char *end)
{
    char *value = from + name + 2;
    fields_append(out, id, slice_of(from, name), slice_of(value, (size_t)(end - value)), true);
    return slice_put(end, S("\r\n"));
}
#define LINE(out, id, name, from, end) line_done((out), (id), sizeof(name) - 1, (from), (end))

enum { LINES = 5, LINES_TEXT = 200 }; /* of our own, and what they need besides addresses, hosts and what was sent */

/* What a trusted client sent, and a comma: ours goes behind it on one line (RFC 7239 section 4). Many readers look at
   one line only. */
static struct slice sent_before(const struct http_fields *in, enum http_field_id id, struct arena *a)
{
    uint16_t at = 0;
    struct slice all = S("");
    for (struct slice line; all.p && fields_line(in, id, &at, &line);)
        if (line.n)
            all = arena_join(a, (struct slice[]){all, line, S(", ")}, 3);
    return all;
}

static char *put_forwarded(const struct head_forwarded *w, struct slice before, struct slice peer,
                           struct http_fields *out, char *from)
{
    bool six = slice_has(peer, ':');
    char *at = slice_put(slice_put(from, S("Forwarded: ")), before);
    at = six ? slice_put(at, S("for=\"[")) : slice_put(at, S("for="));
    at = slice_put(at, peer);
    at = six ? slice_put(at, S("]\"")) : at;
    at = slice_put(slice_put(at, S(";host=\"")), w->host);
    at = slice_put(at, S("\";proto=http"));
    at = w->secure ? slice_put(at, S("s")) : at;
    return LINE(out, F_FORWARDED, "Forwarded", from, at);
}

static err_t add_forwarded(const struct head_forwarded *w, const struct http_request *q, struct arena *a,
                           struct http_fields *out)
{
    const struct http_fields *in = &q->fields;
    char text[ADDR_TEXT];
    struct slice before = w->trusted ? sent_before(in, F_FORWARDED, a) : S("");
    struct slice before_x = w->trusted ? sent_before(in, F_X_FORWARDED_FOR, a) : S("");
    struct slice peer = w->peer->sa.sa_family == AF_UNIX ? S("unknown") : slice_z(addr_text_host(w->peer, text));
    char *from = arena_new(a, LINES_TEXT + before.n + before_x.n + 2 * peer.n + 2 * w->host.n, 1);
    if (!from || !before.p || !before_x.p || !fields_room(a, out, LINES))
        return E_HEADER_TOO_LARGE;
    from = LINE(out, F_VIA, "Via", from, slice_put(from, slice_first(via_line(q->version), 11)));
    from = put_forwarded(w, before, peer, out, from);
    char *end = slice_put(slice_put(slice_put(from, S("X-Forwarded-For: ")), before_x), peer);
    from = LINE(out, F_X_FORWARDED_FOR, "X-Forwarded-For", from, end);
    if (!fields_has(out, F_X_FORWARDED_HOST))
        from = LINE(out, F_X_FORWARDED_HOST, "X-Forwarded-Host", from,
                    slice_put(slice_put(from, S("X-Forwarded-Host: ")), w->host));
    if (!fields_has(out, F_X_FORWARDED_PROTO))
        LINE(out, F_X_FORWARDED_PROTO, "X-Forwarded-Proto", from,
             slice_put(slice_put(from, S("X-Forwarded-Proto: ")), w->secure ? S("https") : S("http")));
    return NULL;
}

err_t head_to_origin(const struct head_request *h, struct arena *a, struct http_fields *out)
{
    const struct http_fields *in = &h->in->fields;
    bool any_listed = fields_has(in, F_CONNECTION), ok = true;
    if (h->host.n && fields_get(in, F_HOST).p != h->host.p) /* else the line is passed on as it came */
        ok = fields_add_ours(a, out, F_HOST, h->host);
    bool counts = h->in->method == M_TRACE || h->in->method == M_OPTIONS;
    for (uint16_t i = 0; i < in->n && ok; i++) {
        const struct http_field *f = &in->v[i];
        if (request_drops(h, f, any_listed))
            continue;
        struct http_field line = *f;
        if (f->id == F_MAX_FORWARDS && counts)
            line.value = one_less(a, f->value);
        ok = fields_add_line(a, out, &line);
    }
    if (ok && h->upgrade)
        ok = fields_add_id(a, out, F_CONNECTION, S("Upgrade"));
    if (ok && h->forwarded.on)
        return add_forwarded(&h->forwarded, h->in, a, out);
    return ok && head_add_via(h->in->version, a, out) ? NULL : E_HEADER_TOO_LARGE;
}

static bool stripped(const struct cache_control *cc, struct slice name)
{
    for (int i = 0; i < cc->strip_count; i++) {
        struct slice rest = cc->strip[i], one;
        while (fields_cut(&rest, &one))
            if (slice_eq_case(one, name))
                return true;
    }
    return false;
}

err_t head_from_origin(const struct http_fields *in, uint8_t version, const struct cache_control *strip,
                       struct arena *a, struct http_fields *out)
{
    bool any_listed = fields_has(in, F_CONNECTION), all = !strip && !fields_any_hop(in);
    if (all && !fields_add_all(a, out, in))
        return E_TOO_LARGE;
    for (uint16_t i = 0; !all && i < in->n; i++) {
        const struct http_field *f = &in->v[i];
        if (hop(f) || (any_listed && head_listed(in, f->name)) || (strip && stripped(strip, f->name)))
            continue;
        if (strip && (f->id == F_PROXY_AUTHENTICATE || f->id == F_PROXY_AUTHENTICATION_INFO))
            continue; /* RFC 9111 section 3.1 */
        if (!fields_add_line(a, out, f))
            return E_TOO_LARGE;
    }
    return head_add_via(version, a, out) ? NULL : E_TOO_LARGE;
}

err_t head_strip(const struct http_fields *in, const struct cache_control *strip, struct arena *a,
                 struct http_fields *out)
{
    for (uint16_t i = 0; i < in->n; i++)
        if (!stripped(strip, in->v[i].name) && !fields_add_line(a, out, &in->v[i]))
            return E_TOO_LARGE;
    return NULL;
}

err_t head_own(struct http_fields *f, struct arena *a)
{
    struct http_fields own = {0};
    for (uint16_t i = 0; i < f->n; i++) {
        struct http_field line = f->v[i];
        line.name = arena_copy(a, line.name);
        line.value = arena_copy(a, line.value);
        if (!line.name.p || !line.value.p || !fields_add_line(a, &own, &line))
            return E_NO_MEMORY;
    }
    *f = own;
    return NULL;
}
