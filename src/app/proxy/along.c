/* SPDX-License-Identifier: MIT */
/* along.c -- a client reads what a filler brings into the cache: the one who asked first, and who asked meanwhile. */
#include "app/proxy/fetch.h"

static err_t next_piece(struct cache_flight *f, struct flight_reader *r, struct slice *s, bool *end, unsigned *version)
{
    err_t e = flight_read(f, r, s, end, version);
    return e ? fault(E_TRUNCATED, "the origin's answer broke off") : NULL;
}

err_t along_first(struct cache_flight *f, struct flight_reader *r)
{
    struct slice s;
    bool end;
    unsigned version;
    TRY(next_piece(f, r, &s, &end, &version));
    if (s.n || end)
        return NULL;
    TRY(fiber_yield());
    return next_piece(f, r, &s, &end, &version);
}

err_t along_read(struct job *j, struct cache_flight *f, struct flight_reader *r, tick until)
{
    for (;;) {
        struct slice s;
        bool end;
        unsigned version;
        TRY(next_piece(f, r, &s, &end, &version));
        if (end)
            return reply_end(j->ex, until);
        if (s.n) {
            TRY(reply_body(j->ex, s, until));
            flight_read_advance(f, r, s.n);
        } else {
            TRY(reply_flush(j->ex, until));
            TRY(flight_wait(f, version, until));
        }
    }
}

err_t along_follow(struct job *j, struct cache_flight *f, tick until)
{
    struct cache_object *o = f->object;
    struct http_fields fields = {0};
    struct flight_reader r;
    pthread_mutex_lock(&f->lock);
    bool whole = f->done && !f->failed && o->body->length != CACHE_LENGTH_UNKNOWN && cache_body_complete(o->body);
    pthread_mutex_unlock(&f->lock);
    if (whole)
        return answer_stored(j, o, until);
    for (uint16_t i = 0; i < o->fields.n; i++)
        if (!fields_add(j->arena, &fields, o->fields.v[i].name, o->fields.v[i].value))
            return E_NO_MEMORY;
    struct slice age = arena_format(j->arena, "%lld", (long long)fresh_age(&o->info, wall_now()));
    if (!age.p || !fields_add_id(j->arena, &fields, F_AGE, age))
        return E_NO_MEMORY;
    flight_read_open(f, &r);
    err_t e = along_first(f, &r);
    e = e ? e : answer_head(j, o->info.status, SLICE_NONE, &fields, until);
    if (!e)
        e = along_read(j, f, &r, until);
    flight_read_close(f, &r);
    return e;
}
