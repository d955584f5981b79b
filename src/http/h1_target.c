/* SPDX-License-Identifier: MIT */
#include "http/h1_target.h"

#include "http/fields.h"
#include "http/uri.h"

static err_t as_bad(err_t e)
{
    return e == E_DATA ? E_BAD_REQUEST : e; /* the note stays */
}

static err_t absolute_target(struct http_request *q)
{
    q->form = TARGET_ABSOLUTE;
    TRY(as_bad(uri_parse(q->target_text, &q->target)));
    if (!q->target.scheme.n)
        return fault(E_BAD_REQUEST, "the request target must begin with '/' or be a whole URL");
    if (q->target.has_fragment)
        return fault(E_BAD_REQUEST, "a fragment ('#') in the request target");
    bool web = uri_default_port(q->target.scheme) != 0;
    if (web && (q->target.has_userinfo || !q->target.host.n))
        return fault(E_BAD_REQUEST, "the request target needs a host and no user"); /* RFC 9110 sections 4.2.1, 4.2.4 */
    return NULL;
}

/* The four forms of section 3.2. */
static err_t read_target(struct http_request *q)
{
    struct slice t = q->target_text;
    if (q->target.path.n) /* a plain one */
        return NULL;
    if (q->method == M_CONNECT) {
        q->form = TARGET_AUTHORITY;
        TRY(as_bad(uri_parse_authority(t, &q->target)));
        if (!q->target.host.n || !q->target.port || q->target.has_userinfo)
            return fault(E_BAD_REQUEST, "CONNECT needs host:port");
        return NULL;
    }
    if (slice_eq(t, S("*"))) {
        q->form = TARGET_ASTERISK;
        return q->method == M_OPTIONS ? NULL : fault(E_BAD_REQUEST, "the target * is for OPTIONS only");
    }
    if (t.p[0] != '/')
        return absolute_target(q);
    q->form = TARGET_ORIGIN;
    return as_bad(uri_parse_origin(t, &q->target));
}

static err_t parse_host(struct slice value, struct uri *out)
{
    TRY(as_bad(uri_parse_authority(value, out)));
    return out->has_userinfo ? fault(E_BAD_REQUEST, "a user in the Host field") : NULL;
}

static void keep(struct h1_host *h, struct slice value, const struct uri *u)
{
    if (!h || value.n == 0 || value.n > sizeof h->text)
        return;
    *h = (struct h1_host){.n = (uint8_t)value.n,
                          .host = (uint8_t)(u->host.p - value.p),
                          .host_n = (uint8_t)u->host.n,
                          .ipv6 = u->ipv6,
                          .port = u->port};
    memcpy(h->text, value.p, value.n);
}

static err_t host_of(struct slice value, struct h1_host *known, struct uri *out)
{
    if (!known || !slice_eq(value, slice_of(known->text, known->n))) {
        TRY(parse_host(value, out));
        keep(known, value, out);
        return NULL;
    }
    out->host = slice_of(value.p + known->host, known->host_n);
    out->port = known->port;
    out->ipv6 = known->ipv6;
    return NULL;
}

/* Section 3.2: exactly one Host in 1.1, valid in any version; the target's own authority goes before it. */
static err_t read_host(struct http_request *q, struct h1_host *known)
{
    struct slice value;
    struct uri host;
    if (!fields_has(&q->fields, F_HOST))
        return q->version >= 11 ? fault(E_BAD_REQUEST, "an HTTP/1.1 request needs a Host field") : NULL;
    if (!fields_only(&q->fields, F_HOST, &value))
        return fault(E_BAD_REQUEST, "more than one Host field");
    TRY(host_of(value, known, &host));
    if (q->target.has_authority)
        return NULL;
    q->target.host = host.host;
    q->target.port = host.port;
    q->target.ipv6 = host.ipv6;
    q->target.has_authority = true;
    return NULL;
}

err_t h1_target(struct http_request *q, struct h1_host *known)
{
    TRY(read_target(q));
    return read_host(q, known);
}
