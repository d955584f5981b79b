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

struct slice head_via(uint8_t version)
{
    return version == 20 ? S("2.0 l7") : version == 10 ? S("1.0 l7") : S("1.1 l7");
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

/* One line: what a trusted client sent, then ours (RFC 7239 section 4). Many readers look at one line only. */
static bool add_behind(const struct head_forwarded *w, const struct http_fields *in, enum http_field_id id,
                       struct slice ours, struct arena *a, struct http_fields *out)
{
    uint16_t at = 0;
    struct slice all = SLICE_NONE;
    for (struct slice line; w->trusted && fields_line(in, id, &at, &line);)
        if (line.n)
            all = all.n ? arena_join(a, (struct slice[]){all, S(", "), line}, 3) : line;
    if (all.n)
        ours = arena_join(a, (struct slice[]){all, S(", "), ours}, 3);
    return fields_add_ours(a, out, id, ours);
}

/* The parts of Forwarded are what the X- fields say, and lie in its text. */
static err_t add_forwarded(const struct head_forwarded *w, const struct http_fields *in, struct arena *a,
                           struct http_fields *out)
{
    char text[ADDR_TEXT];
    bool local = w->peer->sa.sa_family == AF_UNIX;
    struct slice peer = local ? S("unknown") : slice_z(addr_text_host(w->peer, text));
    bool six = slice_has(peer, ':');
    struct slice before = six ? S("for=\"[") : S("for="), between = six ? S("]\";host=\"") : S(";host=\"");
    struct slice proto = w->secure ? S("https") : S("http");
    const struct slice parts[] = {before, peer, between, w->host, S("\";proto="), proto};
    struct slice whole = arena_join(a, parts, sizeof parts / sizeof parts[0]);
    if (!whole.p)
        return E_HEADER_TOO_LARGE;
    peer.p = whole.p + before.n;
    bool ok = add_behind(w, in, F_FORWARDED, whole, a, out) && add_behind(w, in, F_X_FORWARDED_FOR, peer, a, out);
    if (ok && !fields_has(out, F_X_FORWARDED_HOST))
        ok = fields_add_ours(a, out, F_X_FORWARDED_HOST, w->host);
    if (ok && !fields_has(out, F_X_FORWARDED_PROTO))
        ok = fields_add_ours(a, out, F_X_FORWARDED_PROTO, proto);
    return ok ? NULL : E_HEADER_TOO_LARGE;
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
    ok = ok && fields_add_ours(a, out, F_VIA, head_via(h->in->version));
    if (!ok)
        return E_HEADER_TOO_LARGE;
    return h->forwarded.on ? add_forwarded(&h->forwarded, in, a, out) : NULL;
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
    return fields_add_ours(a, out, F_VIA, head_via(version)) ? NULL : E_TOO_LARGE;
}

err_t head_strip(const struct http_fields *in, const struct cache_control *strip, struct arena *a,
                 struct http_fields *out)
{
    for (uint16_t i = 0; i < in->n; i++)
        if (!stripped(strip, in->v[i].name) && !fields_add_line(a, out, &in->v[i]))
            return E_TOO_LARGE;
    return NULL;
}
