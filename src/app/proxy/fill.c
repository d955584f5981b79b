/* SPDX-License-Identifier: MIT */
/*
 * fill.c -- responses on their way into the cache. A filler fiber of the loop's (not of the client's: one that leaves
 * does not end it for the others) reads the origin into the object's body; everybody, the first client included,
 * reads along from there. Only a whole body enters the index.
 */
#include "app/proxy/fetch.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "base/stat.h"
#include "http/cond.h"
#include "http/range.h"
#include "http/status.h"

/* How far a body that will not be kept may run ahead of its slowest reader; what a variant is known by. */
enum { AHEAD_MAX = 1 << 20, VARY_MAX = 16 << 10 };

/* ---- May it be stored? ---- */

/* Of known total, and satisfied. */
static bool placed(const struct http_fields *f, struct content_range *out)
{
    return range_content_parse(fields_get(f, F_CONTENT_RANGE), out) && out->first <= out->last &&
           out->total != UINT64_MAX;
}

static const char *place(struct fetch *t, uint64_t *total)
{
    const struct http_response *r = &t->call.response;
    uint64_t length = t->call.length;
    t->at = 0;
    t->short_end = false;
    t->end = length == CLIENT_UNKNOWN ? CACHE_LENGTH_UNKNOWN : length;
    *total = t->end;
    if (!status_has_body(r->status))
        t->end = *total = 0;
    if (r->status == 206) {
        struct content_range range;
        if (!placed(&r->fields, &range))
            return "the Content-Range cannot be placed (RFC 9110 section 15.3.7)";
        t->at = range.first;
        t->end = range.last + 1;
        *total = range.total;
        /* The last part, announced and sent with fewer bytes than it claims: what came has its place, and nothing
           behind it is held (RFC 9111 section 3.3). */
        t->short_end = t->at && t->end == *total && length && length < t->end - t->at;
        if (t->short_end)
            *total = t->end = t->at + length;
        else if (length != CLIENT_UNKNOWN && length != t->end - t->at)
            return "Content-Range and Content-Length disagree";
    }
    return NULL;
}

bool fill_fits(const struct fetch *t, const struct cache_object *partial, uint64_t hole, uint64_t n)
{
    struct content_range r;
    const struct http_fields *f = &t->call.response.fields;
    return placed(f, &r) && r.first == hole && r.last - r.first + 1 == n && r.total == partial->body->length &&
           etag_strong_eq(partial->etag, fields_get(f, F_ETAG));
}

/* What a variant is known by, in the job's arena. It has limits: of names, and of how long the request's values are. */
static bool vary_known(struct job *j, const struct http_fields *f, struct slice *out)
{
    AUTO(buf_free) struct buf vary = {.max = VARY_MAX};
    *out = SLICE_NONE;
    if (!fields_has(f, F_VARY))
        return true;
    if (cache_vary_make(f, &j->in->fields, &vary))
        return false;
    *out = arena_copy(j->arena, buf_slice(&vary));
    return out->n == vary.n;
}

const char *fill_refused(struct job *j, struct fetch *t)
{
    const struct http_response *r = &t->call.response;
    uint64_t total;
    fresh_rules_of(&t->rules, &r->fields, j->p->o.targets, j->route == ROUTE_REVERSE ? j->p->o.target_count : 0);
    const char *why = fresh_forbidden(r->status, &t->rules);
    if (why)
        return why; /* before the arithmetic: what passes through is to pass fast */
    struct fresh_request ask = j->ask;
    ask.range = ask.range || t->partner;
    fresh_compute(&t->info, r->status, &r->fields, &t->rules, t->request_ns, t->response_ns);
    why = fresh_unstorable(&ask, r->status, &r->fields, &t->rules, &t->info);
    if (!why)
        why = place(t, &total);
    if (!why && total != CACHE_LENGTH_UNKNOWN && total > j->p->o.object_max)
        why = "larger than --max-object";
    if (!why && !vary_known(j, &r->fields, &t->vary))
        why = "Vary names more than a variant is known by";
    return why;
}

/* ---- Objects ---- */

static bool in_fields(const struct http_fields *f, const struct http_field *one)
{
    for (uint16_t i = 0; i < f->n; i++)
        if (one->id ? f->v[i].id == one->id : slice_eq_case(f->v[i].name, one->name))
            return true;
    return false;
}

/* The stored fields with those of a newer response (RFC 9111 section 3.2). */
static err_t merged_fields(struct job *j, const struct http_fields *old, const struct http_fields *fresh,
                           struct http_fields *out)
{
    for (uint16_t i = 0; i < old->n; i++)
        if (!fresh_field_updates(&old->v[i]) || !in_fields(fresh, &old->v[i]))
            if (!fields_add_line(j->arena, out, &old->v[i]))
                return E_NO_MEMORY;
    for (uint16_t i = 0; i < fresh->n; i++)
        if (fresh_field_updates(&fresh->v[i]) || fresh->v[i].id == F_AGE)
            if (!fields_add_line(j->arena, out, &fresh->v[i]))
                return E_NO_MEMORY;
    return NULL;
}

static struct cache_object *object_make(struct job *j, struct fetch *t, const struct http_fields *fields,
                                        struct cache_body *body)
{
    struct cache_object_make m = {.info = t->info, .key = j->key, .vary = t->vary, .fields = fields, .body = body};
    m.info.status = m.info.status == 206 ? 200 : m.info.status; /* RFC 9111 section 3.3 */
    return cache_object_new(&m);
}

struct cache_object *fill_updated(struct job *j, struct fetch *t, struct cache_object *old, bool *kept)
{
    struct http_fields came = {0}, all = {0};
    const struct http_response *r = &t->call.response;
    if (head_from_origin(&r->fields, r->version, NULL, j->arena, &came) || merged_fields(j, &old->fields, &came, &all))
        return NULL;
    fresh_rules_of(&t->rules, &all, j->p->o.targets, j->route == ROUTE_REVERSE ? j->p->o.target_count : 0);
    fresh_compute(&t->info, old->info.status, &all, &t->rules, t->request_ns, t->response_ns);
    struct http_fields stored = {0};
    if (head_strip(&all, &t->rules.cc, j->arena, &stored))
        return NULL;
    /* What no-cache or private names is not stored, Vary included: then nothing tells what it was. */
    bool known = vary_known(j, &all, &t->vary) && (fields_has(&all, F_VARY) || !old->vary.n);
    struct cache_object *o = object_make(j, t, &stored, old->body);
    if (!o)
        return NULL;
    o->short_end = old->short_end;
    *kept = known && !(t->rules.cc.has & (CC_NO_STORE | CC_PRIVATE));
    if (!*kept)
        store_remove(j->p, old);
    else if (!slice_eq(o->vary, old->vary))
        store_put(j->p, t->flight, o); /* another variant of the same bytes; the old one stays for whom it is for */
    else
        store_replace(j->p, t->flight, old, o);
    return o;
}

static err_t stored_fields(struct job *j, struct fetch *t, struct http_fields *out)
{
    const struct http_response *r = &t->call.response;
    struct http_fields all = {0};
    TRY(head_from_origin(&r->fields, r->version, &t->rules.cc, j->arena, &all));
    for (uint16_t i = 0; i < all.n; i++)
        if (fresh_field_stored(&all.v[i]) && (r->status != 206 || all.v[i].id != F_CONTENT_RANGE))
            if (!fields_add_line(j->arena, out, &all.v[i]))
                return E_NO_MEMORY;
    return NULL;
}

static err_t begin_object(struct job *j, struct fetch *t)
{
    uint64_t total;
    struct http_fields fields = {0};
    CHECK(!place(t, &total));
    TRY(stored_fields(j, t, &fields));
    if (t->call.response.status == 206 && !t->partner && !t->short_end && fields_has(&fields, F_ETAG)) {
        bool others; /* what is stored of the same representation already */
        struct cache_object *o = cache_memory_find(j->p->memory, &j->key, &j->in->fields, &others);
        if (o && o->body && !o->short_end && o->body->length == total &&
            etag_strong_eq(o->etag, fields_get(&fields, F_ETAG)))
            t->partner = o;
        else
            cache_object_unref(o);
    }
    if (t->partner) {
        struct http_fields merged = {0};
        TRY(merged_fields(j, &t->partner->fields, &fields, &merged));
        if (!fields_has(&t->call.response.fields, F_VARY))
            t->vary = t->partner->vary;
        fields = merged;
    }
    struct cache_body *body = cache_body_new(total);
    t->object = body ? object_make(j, t, &fields, body) : NULL;
    cache_body_unref(body);
    if (!t->object)
        return E_NO_MEMORY;
    t->object->partial = t->call.response.status == 206;
    t->object->short_end = t->short_end;
    return NULL;
}

/* The object as it is to be found from now on: with a length that is known, with what a partner holds too, and a small
   body packed. */
static struct cache_object *final_object(struct fetch *t)
{
    struct cache_object *o = t->object;
    struct cache_body *body = o->body;
    if (body->length != CACHE_LENGTH_UNKNOWN && !t->partner && !cache_body_packs(body)) {
        pthread_mutex_lock(&t->flight->lock); /* who looks along may just ask whether it is partial */
        cache_object_settle(o);
        pthread_mutex_unlock(&t->flight->lock);
        return cache_object_ref(o);
    }
    struct cache_body *whole = t->partner ? cache_body_new(body->length) : cache_body_ref(body);
    err_t e = whole ? NULL : E_NO_MEMORY;
    if (!e && t->partner) {
        e = cache_body_merge(whole, body);
        e = e ? e : cache_body_merge(whole, t->partner->body);
    } else if (!e) {
        pthread_mutex_lock(&t->flight->lock);
        whole->length = whole->held;
        pthread_mutex_unlock(&t->flight->lock);
    }
    struct cache_object *out = NULL;
    if (!e)
        out = cache_object_new(&(struct cache_object_make){
            .info = o->info, .key = {o->key, o->hash}, .vary = o->vary, .fields = &o->fields, .body = whole});
    cache_body_unref(whole);
    return out;
}

/* ---- The filler ---- */

static uint64_t slowest(const struct cache_flight *f)
{
    uint64_t at = UINT64_MAX;
    for (struct list *l = f->reading.next; l != &f->reading; l = l->next)
        at = LIST_ENTRY(l, struct flight_reader, link)->at < at ? LIST_ENTRY(l, struct flight_reader, link)->at : at;
    return at;
}

/* Bodies on their way, and those that slow readers hold, have the room of the memory tier once more, or of one object.
 */
static bool short_of_memory(const struct proxy *p)
{
    uint64_t kept = p->o.cache_memory, moving = kept > p->o.object_max ? kept : p->o.object_max;
    return cache_body_alive() > kept + moving;
}

/* Is there no sense in reading it faster than its readers do? A missing part has none, and is not longer than an
 * object. */
static bool for_readers_only(struct fetch *t)
{
    uint64_t held = t->object->body->held;
    return held > t->p->o.object_max ||
           (held > AHEAD_MAX && !t->partner && (short_of_memory(t->p) || flight_closed(t->flight)));
}

/* It will not be kept: from now on it only serves those who read it already. */
static err_t throttle(struct fetch *t)
{
    struct cache_flight *f = t->flight;
    if (!flight_closed(f)) {
        flight_unlist(f);
        pthread_mutex_lock(&f->lock);
        f->closed = true;
        pthread_mutex_unlock(&f->lock);
    }
    for (;;) {
        pthread_mutex_lock(&f->lock);
        uint64_t at = slowest(f);
        unsigned version = f->version;
        if (f->readers)
            cache_body_drop_before(t->object->body, at);
        bool go = f->readers && t->at - at <= AHEAD_MAX, gone = !f->readers;
        pthread_mutex_unlock(&f->lock);
        if (gone)
            return E_CANCELED;
        if (go)
            return NULL;
        TRY(flight_wait(f, version, TICK_NEVER));
    }
}

static err_t fill_once(struct fetch *t, size_t *got)
{
    struct cache_flight *f = t->flight;
    struct cache_body *b = t->object->body;
    uint64_t left = t->end == CACHE_LENGTH_UNKNOWN ? 0 : t->end - t->at;
    char *room, spare[1];
    size_t cap = sizeof spare;
    if (for_readers_only(t))
        TRY(throttle(t));
    if (t->end != CACHE_LENGTH_UNKNOWN && !left) {
        room = spare; /* nothing more may come: this read finds the end */
    } else {
        pthread_mutex_lock(&f->lock);
        err_t e = cache_body_room(b, t->at, left, &room, &cap);
        pthread_mutex_unlock(&f->lock);
        TRY(e);
    }
    TRY(call_read(&t->call, room, cap, got, after(t->p->o.origin_timeout / TICK_MS)));
    if (!*got)
        return t->end != CACHE_LENGTH_UNKNOWN && left ? E_TRUNCATED : NULL;
    if (room == spare)
        return E_PROTO;
    pthread_mutex_lock(&f->lock);
    cache_body_grow(b, *got);
    t->at += *got;
    flight_grown(f);
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

static err_t fill_all(struct fetch *t)
{
    err_t e = NULL;
    for (size_t got = 1; got && !e;)
        e = fill_once(t, &got);
    if (e) {
        stat_add(STAT_CACHE_BROKEN, 1);
        return e;
    }
    pthread_mutex_lock(&t->flight->lock);
    if (!t->flight->readers && !t->flight->closed)
        cache_body_trim(t->object->body);
    pthread_mutex_unlock(&t->flight->lock);
    return NULL;
}

/* The whole body is there: into the index first, then off the list of flights, so newcomers find one or the other. */
static void fill_done(struct fetch *t, err_t e)
{
    struct cache_object *o = e || flight_closed(t->flight) ? NULL : final_object(t);
    if (o)
        store_put(t->p, t->flight, o);
    cache_object_unref(o);
    flight_unlist(t->flight);
    flight_finish(t->flight, e ? E_TRUNCATED : NULL);
    if (e)
        fault_clear();
}

static void fill_run(void *arg)
{
    struct fetch *t = arg;
    err_t e = fill_all(t);
    call_close(&t->call);
    t->open = false;
    struct proxy_loop *l = t->here;
    fill_done(t, e);
    fetch_free(t);
    loop_leave(l);
}

/* The filler takes the fetch over; when there is no fiber to be had nobody can read along. */
static err_t fill_spawn(struct fetch *t)
{
    err_t e = scope_spawn(loop_scope(loop_self()), "fill", fill_run, t);
    if (!e) {
        loop_enter(t->here);
        return NULL;
    }
    flight_unlist(t->flight);
    flight_finish(t->flight, e);
    fetch_free(t);
    return e;
}

/* ---- For the one who asked ---- */

static err_t head_and_body(struct job *j, struct fetch *t, struct cache_flight *f, struct http_fields *fields,
                           struct flight_reader *r, tick until)
{
    const struct http_response *in = &t->call.response;
    struct http_response copy = {.status = in->status, .reason = arena_copy(j->arena, in->reason)};
    TRY(fill_spawn(t));
    TRY(along_first(f, r));
    TRY(answer_head(j, copy.status, copy.reason, fields, until));
    return along_read(j, f, r, until);
}

/* The missing part of a partial object, or a validation without a client: to the end first. Who waits for a missing
   part gets the combined object: the part by itself is nothing to read along. */
static err_t fill_to_the_end(struct job *j, struct fetch *t, tick until)
{
    err_t e = fill_all(t);
    struct cache_object *o = e ? NULL : final_object(t);
    call_close(&t->call);
    t->open = false;
    if (o)
        store_put(t->p, t->flight, o);
    if (o && t->partner)
        flight_publish(t->flight, o, t->call.response.status);
    else if (t->partner)
        flight_release(t->flight, FLIGHT_ORPHAN, NULL);
    flight_unlist(t->flight);
    flight_finish(t->flight, e ? E_TRUNCATED : NULL);
    fetch_free(t);
    if (!e && j->ex)
        e = o && !o->partial ? answer_stored(j, o, until) : job_error(j, E_TRUNCATED, until);
    else if (e && j->ex)
        e = job_error(j, e, until);
    cache_object_unref(o);
    return e;
}

err_t fill_and_read(struct job *j, struct fetch *t, tick until)
{
    bool completes = t->partner != NULL;
    struct http_fields fields = {0};
    err_t e = begin_object(j, t);
    if (!e && j->ex && !completes)
        e = relay_fields(j, t, &fields);
    if (!e) /* the filler may be done with the response before the head has left */
        e = head_own(&fields, j->arena);
    fields_remove(&fields, F_TRAILER); /* what is stored has none, and everybody reads along from there */
    if (e) {
        flight_release(t->flight, FLIGHT_ALONE, NULL);
        fetch_free(t);
        return e;
    }
    struct cache_flight *f = t->flight;
    j->verdict.has_ttl = true;
    j->verdict.ttl = fresh_ttl(&t->info, t->response_ns);
    if (!completes)
        flight_publish(f, t->object, t->call.response.status);
    if (completes || !j->ex)
        return fill_to_the_end(j, t, until);
    struct flight_reader r;
    flight_read_open(f, &r);
    r.at = t->at;
    atomic_fetch_add(&f->refs, 1);
    t->job = NULL;
    if (j->ask.conditional && t->call.response.status == 200 && answer_not_modified(j, t->object)) {
        struct cache_object *o = cache_object_ref(t->object);
        e = fill_spawn(t);
        e = e ? e : answer_stored(j, o, until);
        cache_object_unref(o);
    } else {
        e = head_and_body(j, t, f, &fields, &r, until);
    }
    flight_read_close(f, &r);
    flight_unref(f);
    return e;
}
