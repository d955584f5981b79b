/* SPDX-License-Identifier: MIT */
#include "app/lab/site.h"

#include <inttypes.h>

#include "base/embedded.h"
#include "http/cond.h"
#include "http/media.h"
#include "rt/loop.h"

enum { TAG_SEED = 7 };

static const struct embedded *find(struct slice name)
{
    for (const struct embedded *e = embedded_site; e->name; e++)
        if (slice_eq(name, slice_z(e->name)))
            return e;
    return NULL;
}

/* The bytes never change while the program runs, but they may with the next version: the tag is made of them. */
static err_t send_bytes(struct exchange *x, struct slice name, struct slice bytes, tick until)
{
    struct http_response r = {.status = 200};
    struct slice tag = arena_format(x->arena, "\"%016" PRIx64 "\"", slice_hash(bytes, TAG_SEED));
    struct cond_resource now_here = {.exists = true, .etag = tag};
    if (!tag.p || !fields_add_id(x->arena, &r.fields, F_ETAG, tag) ||
        !fields_add_id(x->arena, &r.fields, F_CACHE_CONTROL, S("no-cache")) ||
        !fields_add_id(x->arena, &r.fields, F_CONTENT_TYPE, media_type(name)))
        return E_NO_MEMORY;
    enum cond_result c = cond_check(&x->request.fields, x->request.method, &now_here, wall_now() / TICK_S);
    if (c == COND_FAILED)
        return reply_error(x, 412, SLICE_NONE, until);
    if (c == COND_GO_ON)
        return reply_whole(x, &r, bytes, until);
    r.status = 304;
    fields_remove(&r.fields, F_CONTENT_TYPE);
    TRY(reply_head(x, &r, until));
    return reply_end(x, until);
}

static err_t redirect(struct exchange *x, struct slice to, tick until)
{
    struct http_response r = {.status = 301};
    struct slice text = S("<!doctype html><title>Moved</title><p>This is at <a href=\"/home\">/home</a> now.\n");
    if (!fields_add_id(x->arena, &r.fields, F_LOCATION, to) ||
        !fields_add_id(x->arena, &r.fields, F_CONTENT_TYPE, S("text/html; charset=utf-8")))
        return E_NO_MEMORY;
    return reply_whole(x, &r, text, until);
}

static err_t refuse_method(struct exchange *x, tick until)
{
    struct http_fields allow = {0};
    struct http_response r = {.status = 204};
    if (!fields_add_id(x->arena, &allow, F_ALLOW, S("GET, HEAD, OPTIONS")))
        return E_NO_MEMORY;
    if (x->request.method != M_OPTIONS)
        return reply_error_fields(x, 405, S("this site can only be read"), &allow, until);
    r.fields = allow;
    TRY(reply_head(x, &r, until));
    return reply_end(x, until);
}

err_t lab_site_handler(struct exchange *x, const void *conf, tick until)
{
    const struct lab_site *site = conf;
    struct slice path = x->request.target.path, name = slice_from(path, 1);
    if (x->request.method != M_GET && x->request.method != M_HEAD)
        return refuse_method(x, until);
    if (slice_eq(path, S("/home")))
        return reply_text(x, 200, S("text/plain; charset=utf-8"), S("hello, network.\n"), until);
    if (slice_eq(path, S("/index")))
        return redirect(x, S("/home"), until);
    if (slice_eq(path, S("/")) && site->front.n)
        return send_bytes(x, S("index.html"), site->front, until);
    const struct embedded *e = find(name.n ? name : S("index.html"));
    if (!e)
        return reply_error(x, 404, S("the lab's site has no such page"), until);
    return send_bytes(x, slice_z(e->name), slice_of(e->bytes, e->size), until);
}
