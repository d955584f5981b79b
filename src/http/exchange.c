/* SPDX-License-Identifier: MIT */
#include "http/exchange.h"

#include "base/check.h"
#include "base/text.h"
#include "http/status.h"

err_t request_body(struct exchange *x, void *p, size_t cap, size_t *got, tick until)
{
    *got = 0;
    if (x->body_done)
        return NULL;
    TRY(x->ops->read_body(x, p, cap, got, until));
    x->received += *got;
    if (*got == 0)
        x->body_done = true;
    return NULL;
}

err_t request_skip_body(struct exchange *x, uint64_t max, tick until)
{
    char sink[1024];
    size_t got;
    while (!x->body_done && x->received <= max)
        TRY(request_body(x, sink, sizeof sink, &got, until));
    return NULL;
}

err_t reply_interim(struct exchange *x, const struct http_response *r, tick until)
{
    CHECK(r->status >= 100 && r->status < 200 && x->status == 0);
    return x->ops->interim(x, r, until);
}

err_t reply_head(struct exchange *x, const struct http_response *r, tick until)
{
    CHECK(x->status == 0 && (r->status >= 200 || r->status == 101));
    TRY(x->broken); /* a 1xx was cut short: nothing sensible can follow it, no error page either */
    TRY(x->ops->head(x, r, until));
    x->status = r->status;
    return NULL;
}

static bool bodiless(const struct exchange *x)
{
    return x->request.method == M_HEAD || !status_has_body(x->status);
}

err_t reply_body(struct exchange *x, struct slice s, tick until)
{
    CHECK(x->status && !x->ended);
    if (s.n == 0 || bodiless(x))
        return NULL;
    return x->ops->body(x, s, until);
}

err_t reply_file(struct exchange *x, int file, uint64_t off, uint64_t len, tick until)
{
    CHECK(x->status && !x->ended);
    if (len == 0 || bodiless(x))
        return NULL;
    return x->ops->file(x, file, off, len, until);
}

err_t reply_pages(struct exchange *x, struct slice s, tick until)
{
    CHECK(x->status && !x->ended);
    if (s.n == 0 || bodiless(x))
        return NULL;
    return x->ops->pages(x, s, until);
}

err_t reply_end_trailers(struct exchange *x, const struct http_fields *trailers, tick until)
{
    CHECK(x->status && !x->ended);
    x->ended = true;
    return x->ops->end(x, trailers, until);
}

err_t reply_end(struct exchange *x, tick until)
{
    return reply_end_trailers(x, NULL, until);
}

err_t reply_flush(struct exchange *x, tick until)
{
    return x->ops->flush ? x->ops->flush(x, until) : NULL;
}

err_t exchange_detach(struct exchange *x, struct stream **out, struct slice *early)
{
    if (!x->ops->detach)
        return fault(E_UNSUPPORTED, "this connection cannot be taken over");
    TRY(x->ops->detach(x, out, early));
    x->detached = x->ended = true;
    return NULL;
}

err_t reply_whole(struct exchange *x, struct http_response *r, struct slice body, tick until)
{
    if (status_has_body(r->status) &&
        !fields_add_id(x->arena, &r->fields, F_CONTENT_LENGTH, arena_format(x->arena, "%zu", body.n)))
        return E_NO_MEMORY;
    TRY(reply_head(x, r, until));
    TRY(reply_body(x, body, until));
    return reply_end(x, until);
}

err_t reply_text(struct exchange *x, uint16_t status, struct slice type, struct slice body, tick until)
{
    struct http_response r = {.status = status};
    if (type.n && !fields_add_id(x->arena, &r.fields, F_CONTENT_TYPE, type))
        return E_NO_MEMORY;
    return reply_whole(x, &r, body, until);
}

/* ---- Error pages ---- */

static struct slice escape_of(char c)
{
    switch (c) {
    case '&':
        return S("&amp;");
    case '<':
        return S("&lt;");
    case '>':
        return S("&gt;");
    case '"':
        return S("&quot;");
    case '\'':
        return S("&#39;");
    default:
        return SLICE_NONE;
    }
}

struct slice html_escape(struct arena *a, struct slice s)
{
    char *safe = arena_new(a, s.n * 4 + 1, 1);
    size_t n = safe ? text_safe(s, safe, s.n * 4 + 1) : 0, at = 0;
    char *out = safe ? arena_new(a, n * 6 + 1, 1) : NULL;
    if (!out)
        return SLICE_NONE;
    for (size_t i = 0; i < n; i++) {
        struct slice e = escape_of(safe[i]);
        if (e.n)
            memcpy(out + at, e.p, e.n);
        else
            out[at] = safe[i];
        at += e.n ? e.n : 1;
    }
    return slice_of(out, at);
}

static struct slice page_html(struct arena *a, uint16_t status, struct slice phrase, struct slice detail)
{
    return arena_format(a,
                        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>%u %.*s</title>\n"
                        "<style>body{font:1.1em/1.5 system-ui,sans-serif;max-width:40em;margin:4em auto;padding:0 1em;"
                        "color-scheme:light dark}</style></head>\n"
                        "<body><h1>%u %.*s</h1>\n<p>%.*s</p>\n</body></html>\n",
                        status, SLICE_ARG(phrase), status, SLICE_ARG(phrase), SLICE_ARG(detail));
}

static struct slice page_text(struct arena *a, uint16_t status, struct slice phrase, struct slice detail)
{
    char *safe = arena_new(a, detail.n * 4 + 1, 1);
    size_t n = safe ? text_safe(detail, safe, detail.n * 4 + 1) : 0;
    return arena_format(a, "%u %.*s%s%.*s\n", status, SLICE_ARG(phrase), n ? ": " : "", (int)n, safe ? safe : "");
}

/* Browsers name text/html in Accept; what else asks (curl, scripts) is better served with plain text. */
static bool wants_html(const struct exchange *x)
{
    struct fields_list l = {.fields = &x->request.fields, .id = F_ACCEPT};
    struct slice e;
    while (fields_element(&l, &e))
        if (slice_starts_case(e, S("text/html")))
            return true;
    return false;
}

err_t reply_error_fields(struct exchange *x, uint16_t status, struct slice detail, const struct http_fields *extra,
                         tick until)
{
    if (x->error_page) {
        bool sent = false;
        TRY(x->error_page(x, status, extra, x->conf, &sent, until));
        if (sent)
            return NULL;
    }
    struct http_response r = {.status = status};
    for (uint16_t i = 0; extra && i < extra->n; i++)
        if (!fields_add(x->arena, &r.fields, extra->v[i].name, extra->v[i].value))
            return E_NO_MEMORY;
    bool html = wants_html(x);
    struct slice phrase = status_phrase(status);
    struct slice body = html ? page_html(x->arena, status, phrase, html_escape(x->arena, detail))
                             : page_text(x->arena, status, phrase, detail);
    if (!fields_add_id(x->arena, &r.fields, F_CONTENT_TYPE,
                       html ? S("text/html; charset=utf-8") : S("text/plain; charset=utf-8")) ||
        !fields_add(x->arena, &r.fields, S("X-Content-Type-Options"), S("nosniff")))
        return E_NO_MEMORY;
    return reply_whole(x, &r, body, until);
}

err_t reply_error(struct exchange *x, uint16_t status, struct slice detail, tick until)
{
    return reply_error_fields(x, status, detail, NULL, until);
}

/* The page of an error; what may be over soon says when to come again (RFC 9110 section 10.2.3). */
static err_t reply_failure(struct exchange *x, err_t failed, tick until)
{
    struct slice detail = arena_copy(x->arena, slice_z(fault_detail())); /* the page's own faults overwrite it */
    struct http_fields extra = {0};
    if (failed->http == 503 && failed->retry && !fields_add(x->arena, &extra, S("Retry-After"), S("1")))
        return E_NO_MEMORY;
    return reply_error_fields(x, failed->http, detail, &extra, until);
}

void exchange_conclude(struct exchange *x, err_t failed, tick until)
{
    if (x->detached)
        return;
    if (failed && x->status == 0) {
        failed = failed == E_CANCELED ? failed : reply_failure(x, failed, until);
    } else if (!failed && x->status == 0) {
        failed = reply_error(x, 500, SLICE_NONE, until);
    }
    if (!failed && !x->ended)
        failed = reply_end(x, until);
    if (failed && !x->broken)
        x->broken = failed;
}
