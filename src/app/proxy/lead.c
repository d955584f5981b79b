/* SPDX-License-Identifier: MIT */
/* lead.c -- what follows from the origin's answer: straight through, into the cache, joining who asked already, the
   stored response when all else fails, and validation in the background. */
#include <stdlib.h>

#include "app/proxy/fetch.h"
#include "base/stat.h"
#include "http/uri.h"

/* ---- Straight through ---- */

static bool stands_for_get(struct job *j, const struct fetch *t)
{
    struct uri parsed, u;
    struct cache_key named;
    const struct http_response *r = &t->call.response;
    struct slice where = fields_get(&r->fields, F_CONTENT_LOCATION);
    if (!j->key.text.n || !where.n || (!j->ex->body_done && j->ex->received != j->ex->body_length))
        return false;
    if (uri_parse(where, &parsed) || uri_resolve(j->arena, &j->target, &parsed, &u) ||
        !cache_key_make(&named, &u, S("http"), j->arena)) {
        fault_clear();
        return false;
    }
    return slice_eq(j->key.text, named.text); /* RFC 9110 section 9.3.3 */
}

/* Who asks for itself alone has no flight before something is to be stored. What it invalidated itself is older than
   its answer. */
static bool have_flight(struct fetch *t)
{
    if (!t->flight)
        t->flight = flight_alone(t->p->flights, &t->job->key, t->since + t->job->closings);
    return t->flight != NULL;
}

static err_t fill(struct job *j, struct fetch *t, tick until)
{
    if (have_flight(t))
        return fill_and_read(j, t, until);
    fetch_free(t);
    return E_NO_MEMORY;
}

err_t fetch_pass(struct job *j, tick until)
{
    struct fetch_terms none = {0};
    if (j->p->memory && j->in->method == M_POST) /* it may be for a GET to come; without a key it is not */
        (void)cache_key_make(&j->key, &j->target, S("http"), j->arena);
    struct fetch *t = fetch_new(j);
    if (!t)
        return E_NO_MEMORY;
    err_t e = fetch_ask(t, &none, until);
    if (e) {
        fetch_free(t);
        return job_error(j, e, until);
    }
    uint16_t status = t->call.response.status;
    if (status == 101) {
        e = tunnel_upgrade(j, &t->call, until);
        fetch_free(t);
        return e;
    }
    if (fresh_invalidates(j->in->method, status))
        store_invalidate(j, &t->call.response.fields);
    if (stands_for_get(j, t) && !fill_refused(j, t)) {
        j->verdict.stored = true;
        return fill(j, t, until);
    }
    e = relay(j, t, until);
    fetch_free(t);
    return e;
}

/* ---- For the cache ---- */

/* Requests whose answer is theirs alone, or that could not use another's. */
static bool asks_alone(struct job *j, const struct cache_object *stale)
{
    return j->in->method != M_GET || j->ask.authorization || j->ask.range || j->ask.cc.has & CC_NO_STORE ||
           (j->ask.conditional && !stale) || refusal_marked(j);
}

/* Is it worth asking for what this partial one lacks? With a strong tag for sure; with a weaker validator the parts
   will not be combined (RFC 9111 section 3.4). Without any neither, but an origin that names none may well answer with
   the whole; a part costs one request more. */
static bool can_complete(const struct cache_object *o)
{
    bool strong = o->etag.n && !slice_starts(o->etag, S("W/"));
    return !o->short_end && (strong || !(o->info.flags & FRESH_VALIDATOR));
}

/* The stored one cannot answer as it is: stale or invalidated (one candidate), only variants for others, or partial. */
static void make_terms(struct job *j, struct cache_object *stale, struct fetch_terms *terms)
{
    *terms = (struct fetch_terms){0};
    if (j->in->method == M_HEAD) /* asked as it is: its answer refreshes what is stored (section 4.3.5) */
        return;
    if (stale && stale->partial && !answer_covers(j, stale)) {
        if (!j->ask.range && can_complete(stale) && cache_body_hole(stale->body, &terms->hole, &terms->hole_n)) {
            terms->complete = true;
            terms->v[terms->n++] = stale;
        }
        return;
    }
    if (stale && stale->info.flags & FRESH_VALIDATOR)
        terms->v[terms->n++] = stale;
    if (!stale && j->verdict.fwd == VERDICT_VARY_MISS && !j->ask.conditional && !j->ask.range &&
        j->in->method == M_GET) {
        struct cache_object *v[FETCH_CANDIDATES];
        int n = cache_memory_variants(j->p->memory, &j->key, v, FETCH_CANDIDATES);
        for (int i = 0; i < n; i++) {
            if (v[i]->etag.n && !v[i]->partial && v[i]->info.status == 200)
                terms->v[terms->n++] = v[i]; /* the reference goes along */
            else
                cache_object_unref(v[i]);
        }
    }
}

static void drop_terms(struct fetch_terms *terms, const struct cache_object *stale)
{
    for (int i = 0; i < terms->n; i++)
        if (terms->v[i] != stale)
            cache_object_unref(terms->v[i]);
    terms->n = 0;
}

/* The origin could not be asked, or said 5xx: the stale one when that is allowed (RFC 9111 section 4.2.4). */
static bool can_fall_back(const struct job *j, const struct cache_object *stale, uint16_t status)
{
    if (!stale || !answer_covers(j, stale))
        return false;
    struct fresh_info info = cache_object_info(stale);
    return fresh_stale_on_error(&info, &j->ask, status, wall_now());
}

static err_t fall_back(struct job *j, struct cache_object *stale, uint16_t status, tick until)
{
    fault_clear();
    stat_add(STAT_CACHE_STALE, 1);
    j->verdict = (struct verdict){.fwd = VERDICT_HIT,
                                  .has_ttl = true,
                                  .ttl = fresh_ttl(&stale->info, wall_now()),
                                  .detail = status ? "origin-error" : "origin-unreachable"};
    return j->ex ? answer_stored(j, stale, until) : NULL;
}

/* RFC 9111 section 5.2.2.2: disconnected and not allowed to serve stale means 504. */
static err_t fail(struct job *j, const struct cache_object *stale, err_t e, tick until)
{
    if (!j->ex)
        return e;
    if (stale && stale->info.flags & FRESH_STRICT && e != E_CANCELED) {
        fault_clear();
        return job_refuse(j, 504, "The stored response must be validated, and the origin cannot be reached.", until);
    }
    return job_error(j, e, until);
}

/* 304 to our conditions. `*again` when it selects none of what we hold: then the request is repeated without them. */
static err_t validated(struct job *j, struct fetch *t, const struct fetch_terms *terms, bool *again, tick until)
{
    struct cache_object *old = NULL;
    for (int i = 0; i < terms->n && !old; i++)
        if (fresh_304_selects(&terms->v[i]->fields, &t->call.response.fields, terms->n == 1))
            old = terms->v[i];
    *again = !old;
    if (!old)
        return NULL;
    bool kept;
    struct cache_object *o = have_flight(t) ? fill_updated(j, t, old, &kept) : NULL;
    if (!o)
        return E_NO_MEMORY;
    stat_add(STAT_CACHE_VALIDATED, 1);
    j->verdict.fwd_status = 304;
    j->verdict.has_ttl = true;
    j->verdict.ttl = fresh_ttl(&o->info, t->response_ns);
    call_close(&t->call);
    t->open = false;
    if (kept) {
        flight_publish(t->flight, o, 304);
        flight_unlist(t->flight);
        flight_finish(t->flight, NULL);
    } else {
        flight_release(t->flight, FLIGHT_ALONE, NULL);
    }
    err_t e = j->ex ? answer_stored(j, o, until) : NULL;
    cache_object_unref(o);
    return e;
}

/* A 200 to HEAD tells about the stored GET responses (RFC 9111 section 4.3.5). */
static void head_came(struct job *j, struct fetch *t)
{
    struct cache_object *v[FETCH_CANDIDATES];
    bool kept;
    if (j->in->method != M_HEAD || t->call.response.status != 200)
        return;
    int n = cache_memory_variants(j->p->memory, &j->key, v, FETCH_CANDIDATES);
    for (int i = 0; i < n; i++) {
        if (have_flight(t) && cache_vary_matches(v[i]->vary, &j->in->fields)) {
            if (v[i]->body && fresh_head_matches(&v[i]->fields, v[i]->body->length, &t->call.response.fields))
                cache_object_unref(fill_updated(j, t, v[i], &kept));
            else
                store_purge(j->p, &j->key, true);
        }
        cache_object_unref(v[i]);
    }
}

/* A final answer that is not 304 to us: into the cache when it may, through to the client in any case. */
static err_t answered(struct job *j, struct fetch *t, tick until)
{
    head_came(j, t);
    const char *why = fill_refused(j, t);
    refusal_note(j, why);
    if (!why) {
        j->verdict.stored = true;
        j->verdict.fwd_status = 0;
        return fill(j, t, until);
    }
    if (j->in->method == M_GET && !j->ask.range && !j->ask.conditional)
        refusal_mark(j);
    flight_release(t->flight, FLIGHT_ALONE, NULL);
    err_t e = j->ex ? relay(j, t, until) : NULL;
    fetch_free(t);
    return e;
}

/* Is what came exactly the missing part, and may it be kept? Otherwise it is nothing for the client, who asked for the
   whole. */
static bool completes(struct job *j, struct fetch *t, struct cache_object *partial, const struct fetch_terms *terms)
{
    if (t->call.response.status != 206 || !fill_fits(t, partial, terms->hole, terms->hole_n))
        return false;
    t->partner = cache_object_ref(partial);
    if (!fill_refused(j, t))
        return true;
    cache_object_unref(t->partner);
    t->partner = NULL;
    return false;
}

/* An answer of the origin's broke off or never went on. Unless some of it has left already, that is as good as a 502.
 */
static err_t unless_broken(struct job *j, err_t e, struct cache_object *stale, tick until)
{
    bool broken = e && e != E_CANCELED && e->kind != ERR_LOCAL && j->ex && !j->ex->status;
    return broken && can_fall_back(j, stale, 502) ? fall_back(j, stale, 502, until) : e;
}

static err_t lead(struct job *, struct fetch *, struct cache_object *, const struct fetch_terms *, tick until);

/* What came back does not go with what is stored: once more, without conditions. */
static err_t ask_plainly(struct job *j, struct fetch *t, struct cache_object *stale, tick until)
{
    struct fetch_terms none = {.plain = true};
    call_close(&t->call);
    t->open = false;
    return lead(j, t, stale, &none, until);
}

/* Takes the fetch over. */
static err_t lead(struct job *j, struct fetch *t, struct cache_object *stale, const struct fetch_terms *terms,
                  tick until)
{
    err_t e = fetch_ask(t, terms, until);
    if (e) {
        flight_release(t->flight, e == E_CANCELED ? FLIGHT_ORPHAN : FLIGHT_FAILED, e);
        fetch_free(t);
        return e != E_CANCELED && can_fall_back(j, stale, 0) ? fall_back(j, stale, 0, until) : fail(j, stale, e, until);
    }
    uint16_t status = t->call.response.status;
    if (status == 304 && terms->n && !terms->complete) {
        bool again;
        e = validated(j, t, terms, &again, until);
        if (!again) {
            fetch_free(t);
            return e;
        }
        return ask_plainly(j, t, stale, until);
    }
    if (status >= 500 && can_fall_back(j, stale, status)) {
        if (t->flight)
            t->flight->fwd_status = status;
        flight_release(t->flight, FLIGHT_FAILED, E_IO);
        fetch_free(t);
        return fall_back(j, stale, status, until);
    }
    if (terms->complete && (status == 206 || status == 416) && !completes(j, t, stale, terms))
        return ask_plainly(j, t, stale, until);
    return unless_broken(j, answered(j, t, until), stale, until);
}

/* Somebody else is asking. `*alone` when what came of it is of no use to us. */
static err_t follow(struct job *j, struct cache_flight *f, struct cache_object *stale, bool *alone, tick until)
{
    unsigned version = 0;
    *alone = false;
    for (;;) {
        pthread_mutex_lock(&f->lock);
        version = f->version;
        enum flight_state state = f->state;
        struct cache_object *o = state == FLIGHT_SHARED ? f->object : NULL;
        err_t failed = f->failed;
        bool usable = o && !f->closed && (!o->partial || f->done);
        pthread_mutex_unlock(&f->lock);
        if (state == FLIGHT_ASKING) {
            TRY(flight_wait(f, version, until));
            continue;
        }
        if (usable && cache_vary_matches(o->vary, &j->in->fields)) {
            struct fresh_info info = cache_object_info(o);
            j->verdict.ttl = fresh_ttl(&info, wall_now());
            if (fresh_judge(&info, &j->ask, wall_now()).use == FRESH_SERVE) {
                j->verdict.has_ttl = true;
                j->verdict.collapsed = 1;
                return unless_broken(j, along_follow(j, f, until), stale, until);
            }
        }
        if (state == FLIGHT_FAILED) {
            uint16_t status = f->fwd_status;
            if (can_fall_back(j, stale, status))
                return fall_back(j, stale, status, until);
            if (!status)
                return fail(j, stale, failed, until);
        }
        *alone = state != FLIGHT_ORPHAN;
        return NULL;
    }
}

static err_t fetch_round(struct job *j, struct cache_object *stale, bool alone, tick until)
{
    for (;;) {
        bool first = alone;
        struct cache_flight *f = alone ? NULL : flight_join(j->p->flights, &j->key, &first);
        if (!f && !alone)
            return E_NO_MEMORY;
        if (first) {
            struct fetch *t = fetch_new(j);
            if (!t) {
                flight_release(f, FLIGHT_ORPHAN, NULL);
                flight_unref(f);
                return E_NO_MEMORY;
            }
            t->flight = f;
            struct fetch_terms terms;
            make_terms(j, stale, &terms);
            err_t e = lead(j, t, stale, &terms, until);
            drop_terms(&terms, stale);
            return e;
        }
        bool go_alone = false;
        err_t e = follow(j, f, stale, &go_alone, until);
        flight_unref(f);
        if (e || j->ex->status)
            return e;
        if (go_alone) {
            alone = true;
            j->verdict.collapsed = -1;
        }
    }
}

err_t fetch_cached(struct job *j, struct cache_object *stale, tick until)
{
    stat_add(STAT_CACHE_MISSES, 1);
    err_t e = fetch_round(j, stale, asks_alone(j, stale), until);
    cache_object_unref(stale);
    return e;
}

/* ---- In the background: stale-while-revalidate (RFC 5861 section 3) ---- */

struct background {
    struct job job;
    struct http_request request;
    struct arena arena;
    struct cache_object *stale;
};

static void background_run(void *arg)
{
    struct background *b = arg;
    bool first;
    struct cache_flight *f = flight_join(b->job.p->flights, &b->job.key, &first);
    struct fetch *t = f && first ? fetch_new(&b->job) : NULL;
    if (t) {
        struct fetch_terms terms;
        t->flight = f;
        make_terms(&b->job, b->stale, &terms);
        err_t e = lead(&b->job, t, b->stale, &terms, TICK_NEVER);
        if (e)
            fault_clear();
    } else if (f && first) {
        flight_release(f, FLIGHT_ORPHAN, NULL);
    }
    if (!t)
        flight_unref(f);
    atomic_store(&b->stale->revalidating, false);
    cache_object_unref(b->stale);
    arena_reset(&b->arena);
    loop_leave(b->job.here);
    free(b);
}

/* A deep copy of what the background needs of the request: it outlives the exchange. */
static bool background_copy(struct background *b, const struct job *j)
{
    struct arena *a = &b->arena;
    struct uri *u = &b->job.target;
    b->job = (struct job){.p = j->p,
                          .here = j->here,
                          .in = &b->request,
                          .arena = a,
                          .route = j->route,
                          .target = j->target,
                          .secure = j->secure,
                          .ask = {.method = M_GET}};
    cache_control_init(&b->job.ask.cc);
    b->request = (struct http_request){.method = M_GET, .method_text = S("GET"), .version = 11};
    struct slice *parts[] = {&u->scheme, &u->host, &u->path, &u->query, &b->job.host, &b->job.key.text};
    b->job.host = j->host;
    b->job.key = j->key;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        *parts[i] = arena_copy(a, *parts[i]);
    for (uint16_t i = 0; i < j->in->fields.n; i++) {
        const struct http_field *f = &j->in->fields.v[i];
        if (f->id == F_RANGE || f->id == F_IF_RANGE || f->id == F_IF_NONE_MATCH || f->id == F_IF_MODIFIED_SINCE)
            continue;
        if (!fields_add(a, &b->request.fields, arena_copy(a, f->name), arena_copy(a, f->value)))
            return false;
    }
    return true;
}

void fetch_background(struct job *j, struct cache_object *o)
{
    if (atomic_exchange(&o->revalidating, true))
        return;
    struct background *b = calloc(1, sizeof *b);
    if (b && background_copy(b, j)) {
        b->stale = cache_object_ref(o);
        if (!scope_spawn(loop_scope(loop_self()), "revalidate", background_run, b)) {
            loop_enter(j->here);
            return;
        }
        cache_object_unref(o);
        fault_clear();
    }
    if (b)
        arena_reset(&b->arena);
    free(b);
    atomic_store(&o->revalidating, false);
}
