/* SPDX-License-Identifier: MIT */
#include "app/serve/answer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "http/byteranges.h"
#include "rt/loop.h"

enum { TAIL_PIECE = 64 << 10 };

/* Most requests carry none of the fields that make an answer conditional: one test says so. */
#define BIT(id, word) ((id) >> 6 == (word) ? UINT64_C(1) << ((id)&63) : 0)
#define CONDITIONAL(word)                                                                                              \
    (BIT(F_IF_MATCH, word) | BIT(F_IF_NONE_MATCH, word) | BIT(F_IF_MODIFIED_SINCE, word) |                             \
     BIT(F_IF_UNMODIFIED_SINCE, word) | BIT(F_RANGE, word))
static bool is_plain(const struct http_fields *f)
{
    return !(f->has[0] & CONDITIONAL(0)) && !(f->has[1] & CONDITIONAL(1));
}

/* What one connection over loopback can hold unread, in both queues together (tcp(7)): so many bytes may still be pages
   of a file when sendfile(2) has taken them. Unknown: any number. */
static uint64_t queues(void)
{
    static const char *const names[] = {"/proc/sys/net/ipv4/tcp_wmem", "/proc/sys/net/ipv4/tcp_rmem"};
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        unsigned long long most;
        FILE *f = fopen(names[i], "re");
        int found = f ? fscanf(f, "%*u %*u %llu", &most) : 0;
        if (f)
            fclose(f);
        if (found != 1)
            return UINT64_MAX;
        sum += most;
    }
    return sum;
}

static uint64_t tail_length;
static pthread_once_t tail_once = PTHREAD_ONCE_INIT;

static void tail_measure(void)
{
    tail_length = queues();
}

/* Bytes of a file that others can write to. What sendfile(2) has taken can still change until the client has read it,
   so only the beginning leaves that way. The tail, longer than all queues, is read piece by piece; each is sent only
   when the file is still what its head announced, and with the last one nothing of the beginning is left in a queue.
   A file that is written to while it is being sent is thus never whole: the exchange is broken off. */
static err_t send_watched(struct exchange *x, const struct file *f, uint64_t off, uint64_t len, tick until)
{
    pthread_once(&tail_once, tail_measure);
    uint64_t first = len > tail_length ? len - tail_length : 0;
    if (first)
        TRY(reply_file(x, f->fd, off, first, until));
    char *piece = malloc(TAIL_PIECE);
    err_t e = piece ? NULL : E_NO_MEMORY;
    for (uint64_t at = first, n; at < len && !e; at += n) {
        n = len - at < TAIL_PIECE ? len - at : TAIL_PIECE;
        e = file_read(f, piece, off + at, n);
        if (!e)
            e = reply_body(x, slice_of(piece, n), until);
    }
    free(piece);
    return e;
}

static err_t send_part(struct exchange *x, struct file *f, uint64_t off, uint64_t len, tick until)
{
    if (f->watched)
        return send_watched(x, f, off, len, until);
    return (f->home ? reply_pages : reply_body)(x, slice_of(f->body + off, len), until);
}

static err_t send_whole(struct exchange *x, struct file *f, tick until)
{
    TRY(reply_head(x, file_head(f), until));
    if (x->request.method != M_HEAD)
        TRY(send_part(x, f, 0, f->size, until));
    return reply_end(x, until);
}

/* A 304 carries the fields that a 200 would have had and that matter to caches, and no date beside the tag (RFC 9110
   section 15.4.5). */
static err_t not_modified(struct exchange *x, struct slice etag, struct slice cache_control, tick until)
{
    struct http_response r = {.status = 304};
    if ((etag.n && !fields_add_id(x->arena, &r.fields, F_ETAG, etag)) ||
        (cache_control.n && !fields_add_id(x->arena, &r.fields, F_CACHE_CONTROL, cache_control)))
        return E_NO_MEMORY;
    return reply_whole(x, &r, SLICE_NONE, until);
}

static err_t precondition(struct exchange *x, const struct cond_resource *c, struct slice cache_control, bool *sent,
                          tick until)
{
    enum cond_result result = cond_check(&x->request.fields, x->request.method, c, wall_now() / TICK_S);
    *sent = result != COND_GO_ON;
    if (result == COND_NOT_MODIFIED)
        return not_modified(x, c->etag, cache_control, until);
    if (result == COND_FAILED)
        return reply_error(x, 412, S("this is not what the request expects it to be"), until);
    return NULL;
}

err_t answer_precondition(struct exchange *x, struct slice cache_control, bool *sent, tick until)
{
    return precondition(x, &(struct cond_resource){.exists = true}, cache_control, sent, until);
}

static err_t unsatisfiable(struct exchange *x, struct file *f, tick until)
{
    struct http_fields extra = {0};
    if (!fields_add_id(x->arena, &extra, F_CONTENT_RANGE,
                       arena_format(x->arena, "bytes */%llu", (unsigned long long)f->size)))
        return E_NO_MEMORY;
    return reply_error_fields(x, 416, S("the file has no such bytes"), &extra, until);
}

/* The fields of a 206: those of the whole but for the length, and the type when there are several parts. Who sends
   If-Range has a part already, and with it what else is known of the whole (RFC 9110 section 15.3.7). */
static err_t partial_head(struct exchange *x, struct file *f, struct http_response *r, uint64_t length, bool several)
{
    bool known = fields_has(&x->request.fields, F_IF_RANGE);
    *r = (struct http_response){.status = 206};
    for (uint16_t i = 0; i < f->whole.fields.n; i++) {
        const struct http_field *v = &f->whole.fields.v[i];
        if (v->id == F_CONTENT_LENGTH || (v->id == F_CONTENT_TYPE && (several || known)) ||
            (v->id == F_LAST_MODIFIED && known))
            continue;
        if (!fields_add(x->arena, &r->fields, v->name, v->value))
            return E_NO_MEMORY;
    }
    struct slice n = arena_format(x->arena, "%llu", (unsigned long long)length);
    return fields_add_id(x->arena, &r->fields, F_CONTENT_LENGTH, n) ? NULL : E_NO_MEMORY;
}

static err_t send_one(struct exchange *x, struct file *f, const struct range *g, tick until)
{
    struct http_response r;
    uint64_t length = g->last - g->first + 1;
    TRY(partial_head(x, f, &r, length, false));
    struct slice value = arena_format(x->arena, "bytes %llu-%llu/%llu", (unsigned long long)g->first,
                                      (unsigned long long)g->last, (unsigned long long)f->size);
    if (!fields_add_id(x->arena, &r.fields, F_CONTENT_RANGE, value))
        return E_NO_MEMORY;
    TRY(reply_head(x, &r, until));
    TRY(send_part(x, f, g->first, length, until));
    return reply_end(x, until);
}

static err_t send_several(struct exchange *x, struct file *f, const struct range *g, int n, tick until)
{
    struct http_response r;
    struct byteranges parts;
    TRY(byteranges_make(x->arena, f->type, f->size, g, n, random_u64(), &parts));
    TRY(partial_head(x, f, &r, parts.length, true));
    if (!fields_add_id(x->arena, &r.fields, F_CONTENT_TYPE, parts.type))
        return E_NO_MEMORY;
    TRY(reply_head(x, &r, until));
    for (int i = 0; i < n; i++) {
        TRY(reply_body(x, parts.heads[i], until));
        TRY(send_part(x, f, g[i].first, g[i].last - g[i].first + 1, until));
    }
    TRY(reply_body(x, parts.heads[n], until));
    return reply_end(x, until);
}

static err_t conditional(struct exchange *x, struct file *f, tick until)
{
    const struct http_fields *q = &x->request.fields;
    struct range v[RANGE_MAX];
    int n;
    bool sent;
    TRY(precondition(x, &f->cond, fields_get(&f->whole.fields, F_CACHE_CONTROL), &sent, until));
    if (sent)
        return NULL;
    if (x->request.method != M_GET || !fields_has(q, F_RANGE) || fields_count(q, F_RANGE) > 1 ||
        !cond_range_allowed(q, &f->cond, wall_now() / TICK_S))
        return send_whole(x, f, until);
    switch (range_parse(fields_get(q, F_RANGE), f->size, v, &n)) {
    case RANGE_UNSATISFIABLE:
        return unsatisfiable(x, f, until);
    case RANGE_SOME:
        return n == 1 ? send_one(x, f, v, until) : send_several(x, f, v, n, until);
    default:
        return send_whole(x, f, until);
    }
}

err_t answer_file(struct exchange *x, struct file *f, tick until)
{
    return is_plain(&x->request.fields) ? send_whole(x, f, until) : conditional(x, f, until);
}

err_t answer_error_page(struct exchange *x, uint16_t status, struct file *f, const struct http_fields *extra,
                        tick until)
{
    struct http_response r = {.status = status};
    for (uint16_t i = 0; extra && i < extra->n; i++)
        if (!fields_add(x->arena, &r.fields, extra->v[i].name, extra->v[i].value))
            return E_NO_MEMORY;
    if (!fields_add_id(x->arena, &r.fields, F_CONTENT_TYPE, f->type) ||
        !fields_add_id(x->arena, &r.fields, F_CONTENT_LENGTH, slice_z(f->length)))
        return E_NO_MEMORY;
    TRY(reply_head(x, &r, until));
    TRY(send_part(x, f, 0, f->size, until));
    return reply_end(x, until);
}

err_t answer_redirect(struct exchange *x, uint16_t status, struct slice to, tick until)
{
    struct http_response r = {.status = status};
    struct slice shown = html_escape(x->arena, to);
    struct slice body =
        arena_format(x->arena, "<!DOCTYPE html>\n<title>%u</title><p>See <a href=\"%.*s\">%.*s</a>.</p>\n", status,
                     SLICE_ARG(shown), SLICE_ARG(shown));
    if (!fields_add_id(x->arena, &r.fields, F_LOCATION, to) ||
        !fields_add_id(x->arena, &r.fields, F_CONTENT_TYPE, S("text/html; charset=utf-8")))
        return E_NO_MEMORY;
    return reply_whole(x, &r, body, until);
}
