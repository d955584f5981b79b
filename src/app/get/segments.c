/* SPDX-License-Identifier: MIT */
#include "app/get/segments.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/get/rules.h"
#include "http/fields.h"
#include "http/range.h"
#include "rt/loop.h"

struct segment {
    struct segments *all;
    struct call *call; /* the first one reads from the transfer's own */
    uint64_t at, end;  /* next byte; one past the last */
    struct arena arena;
    struct http_fields fields;
    struct client_request request;
    err_t error;
    char why[256];
};

struct segments {
    struct transfer *t;
    struct scope scope;
    struct slice validator;
    struct segment v[SEGMENTS_MAX];
    int n;
    struct segment *failed; /* the first one that did */
};

bool segments_wanted(const struct transfer *t)
{
    const struct get_conf *c = t->run->conf;
    const struct http_fields *f = &t->call.response.fields;
    if (c->segments < 2 || c->include || c->textbook || c->rate || c->compressed || t->resuming || t->status != 200)
        return false;
    return slice_eq(t->method, S("GET")) && !t->output.is_stdout && t->call.length != CLIENT_UNKNOWN &&
           t->call.length >= 2 * SEGMENT_MIN && t->output.validator.n > 0 && !(t->digest && t->output.in_place) &&
           !fields_has(f, F_CONTENT_ENCODING) && fields_has_token(f, F_ACCEPT_RANGES, S("bytes"));
}

static tick patience(const struct transfer *t)
{
    int64_t idle = t->run->conf->timeout;
    tick by = idle ? clock_now() + idle : TICK_NEVER;
    return by < t->deadline ? by : t->deadline;
}

static err_t write_at(const struct output *o, struct slice s, uint64_t at)
{
    while (s.n) {
        ssize_t n = pwrite(o->fd, s.p, s.n, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fault(err_errno(errno), "writing %s", o->path);
        s = slice_from(s, (size_t)n);
        at += (uint64_t)n;
    }
    return NULL;
}

static err_t read_part(struct segment *s, struct call *call, char *buffer)
{
    struct transfer *t = s->all->t;
    while (s->at < s->end) {
        uint64_t left = s->end - s->at;
        size_t got;
        TRY(call_read(call, buffer, left < BODY_BUFFER ? (size_t)left : BODY_BUFFER, &got, patience(t)));
        if (got == 0)
            return fault(E_TRUNCATED, "a segment");
        TRY(write_at(&t->output, slice_of(buffer, got), s->at));
        s->at += got;
        t->raw_bytes += got;
        t->body_bytes += got;
        t->run->bytes += got;
    }
    return NULL;
}

/* The same request again, for these bytes of the same thing only. */
static err_t make_request(struct segment *s)
{
    const struct client_request *first = s->all->t->call.request;
    arena_reset(&s->arena);
    s->fields = (struct http_fields){0};
    bool fits = true;
    for (int i = 0; i < first->fields->n; i++)
        fits = fits && fields_add(&s->arena, &s->fields, first->fields->v[i].name, first->fields->v[i].value);
    struct slice range =
        arena_format(&s->arena, "bytes=%llu-%llu", (unsigned long long)s->at, (unsigned long long)s->end - 1);
    if (!fits || !fields_add(&s->arena, &s->fields, S("Range"), range) ||
        !fields_add(&s->arena, &s->fields, S("If-Range"), s->all->validator))
        return E_NO_MEMORY;
    s->request = *first;
    s->request.fields = &s->fields;
    return NULL;
}

static err_t check(const struct segment *s, const struct http_response *r)
{
    struct content_range got;
    struct slice tag = fields_get(&r->fields, F_ETAG);
    if (r->status != 206)
        return fault(r->status == 200 ? E_CHANGED : E_PROTO, "a segment was answered with %u", r->status);
    if (!range_content_parse(fields_get(&r->fields, F_CONTENT_RANGE), &got) || got.first != s->at ||
        got.last != s->end - 1)
        return fault(E_PROTO, "a segment was answered with '%.*s'", SLICE_ARG(fields_get(&r->fields, F_CONTENT_RANGE)));
    if (tag.n && s->all->validator.p[0] == '"' && !slice_eq(tag, s->all->validator))
        return fault(E_CHANGED, "the file became another one meanwhile");
    return NULL;
}

static err_t fetch_part(struct segment *s, char *buffer)
{
    struct call call = {0};
    TRY(make_request(s));
    err_t e = client_open(&s->all->t->run->client, &s->request, &call, patience(s->all->t));
    if (!e)
        e = check(s, &call.response);
    if (!e)
        e = read_part(s, &call, buffer);
    char end[1];
    size_t got;
    if (!e)
        e = call_read(&call, end, sizeof end, &got, patience(s->all->t)); /* its end, so that it can be used again */
    call_close(&call);
    return e;
}

static void run_segment(void *arg)
{
    struct segment *s = arg;
    int64_t tries = s->all->t->run->conf->retries + 1;
    char *buffer = malloc(BODY_BUFFER);
    s->error = buffer ? NULL : E_NO_MEMORY;
    if (!s->error && s->call)
        s->error = read_part(s, s->call, buffer);
    else if (!s->error)
        s->error = fetch_part(s, buffer);
    while (--tries > 0 && s->error && s->error->retry && s->error->kind != ERR_LOCAL) {
        s->all->t->retries++;
        s->error = fiber_sleep(clock_now() + rules_backoff(1));
        if (!s->error)
            s->error = fetch_part(s, buffer);
    }
    free(buffer);
    arena_reset(&s->arena);
    if (!s->error || s->all->failed)
        return;
    s->all->failed = s;
    snprintf(s->why, sizeof s->why, "%s", fault_detail());
    scope_cancel(&s->all->scope); /* the others are of no use without this one */
}

static err_t outcome(struct segments *all)
{
    if (all->failed)
        return fault(all->failed->error, "%s", all->failed->why);
    for (int i = 0; i < all->n; i++)
        if (all->v[i].at < all->v[i].end)
            return E_CANCELED;
    return NULL;
}

static int count_for(const struct transfer *t)
{
    uint64_t most = t->call.length / SEGMENT_MIN, n = (uint64_t)t->run->conf->segments;
    n = n < most ? n : most;
    return n < SEGMENTS_MAX ? (int)n : SEGMENTS_MAX;
}

err_t segments_fetch(struct transfer *t)
{
    struct segments *all = calloc(1, sizeof *all);
    err_t e = NULL;
    if (!all)
        return E_NO_MEMORY;
    all->t = t;
    all->n = count_for(t);
    all->validator = t->output.validator;
    t->output.sparse = true;
    t->raw_bytes = t->body_bytes = 0;
    scope_open(&all->scope);
    for (int i = 0; i < all->n && !e; i++) {
        struct segment *s = &all->v[i];
        s->all = all;
        s->call = i == 0 ? &t->call : NULL;
        s->at = t->call.length / (uint64_t)all->n * (uint64_t)i;
        s->end = i + 1 < all->n ? t->call.length / (uint64_t)all->n * (uint64_t)(i + 1) : t->call.length;
        e = scope_spawn(&all->scope, "segment", run_segment, s);
    }
    if (!e)
        e = scope_join(&all->scope, TICK_NEVER);
    scope_close(&all->scope);
    if (!e)
        e = outcome(all);
    t->output.at = t->call.length;
    t->output.sparse = e != NULL;
    free(all);
    return e;
}
