/* SPDX-License-Identifier: MIT */
/* relay.c -- a response goes to the client as it comes from the origin, with back-pressure: one buffer, no more. */
#include "app/proxy/fetch.h"

#include "http/status.h"

enum { RELAY_BUFFER = 32 << 10 };

err_t relay_fields(struct job *j, struct fetch *t, struct http_fields *out)
{
    const struct http_response *r = &t->call.response;
    if (fields_any_hop(&r->fields)) {
        TRY(head_from_origin(&r->fields, r->version, NULL, j->arena, out));
    } else { /* all of them pass: ours go behind them, where there is room in the same array */
        *out = r->fields;
        if (!head_add_via(r->version, j->arena, out))
            return E_TOO_LARGE;
    }
    /* A body whose end is known gets its length, whatever framing it came in (RFC 9112 section 6.3). */
    if (t->call.length == CLIENT_UNKNOWN || fields_has(out, F_CONTENT_LENGTH) || !status_has_body(r->status) ||
        j->in->method == M_HEAD)
        return NULL;
    struct slice length = arena_format(j->arena, "%llu", (unsigned long long)t->call.length);
    return length.p && fields_add_id(j->arena, out, F_CONTENT_LENGTH, length) ? NULL : E_NO_MEMORY;
}

/* Fields that steer framing, routing or the answer itself have no place behind the body (RFC 9110 section 6.5.1), and
   what Connection names goes no further (section 7.6.1). */
static bool trailer_passes(const struct http_field *f, const struct http_fields *head)
{
    switch (f->id) {
    case F_CONTENT_LENGTH:
    case F_HOST:
    case F_CACHE_CONTROL:
    case F_AUTHORIZATION:
    case F_SET_COOKIE:
    case F_CONTENT_ENCODING:
    case F_CONTENT_TYPE:
    case F_CONTENT_RANGE:
    case F_TRAILER:
        return false;
    default:
        return !(fields_flags(f->id) & FIELD_HOP) && !head_listed(head, f->name);
    }
}

err_t relay_trailers(struct job *j, const struct http_fields *in, const struct http_fields *head,
                     struct http_fields *out)
{
    for (uint16_t i = 0; i < in->n; i++)
        if (trailer_passes(&in->v[i], head) && !fields_add(j->arena, out, in->v[i].name, in->v[i].value))
            return E_NO_MEMORY;
    return NULL;
}

static err_t end_with_trailers(struct job *j, const struct call *c, tick until)
{
    struct http_fields out = {0};
    TRY(relay_trailers(j, &c->trailers, &c->response.fields, &out));
    return reply_end_trailers(j->ex, out.n ? &out : NULL, until);
}

err_t relay(struct job *j, struct fetch *t, tick until)
{
    struct http_fields fields = {0};
    struct call *c = &t->call;
    bool bodiless = j->in->method == M_HEAD || !status_has_body(c->response.status);
    TRY(relay_fields(j, t, &fields));
    bool measured = c->length != CLIENT_UNKNOWN && !bodiless;
    struct slice first = measured ? call_take_early(c) : SLICE_NONE;
    size_t got = 1, cap = bodiless ? 1 : c->length < RELAY_BUFFER ? (size_t)c->length + 1 : RELAY_BUFFER;
    char *buffer = c->done ? NULL : arena_new(j->arena, cap, 1);
    if (!c->done && !buffer)
        return E_NO_MEMORY;
    if (measured && !first.n && !c->done) { /* nothing has been sent: if it breaks off here, that can be told */
        TRY(call_read(c, buffer, cap, &got, origin_until(j)));
        first = slice_of(buffer, got);
    }
    TRY(answer_head(j, c->response.status, c->response.reason, &fields, until));
    if (measured)
        TRY(reply_body(j->ex, first, until));
    else if (!bodiless)
        TRY(reply_flush(j->ex, until)); /* an event stream may be silent for long after its head */
    while (got && !c->done) {
        TRY(call_read(c, buffer, cap, &got, origin_until(j)));
        TRY(reply_body(j->ex, slice_of(buffer, got), until));
    }
    return end_with_trailers(j, c, until);
}
