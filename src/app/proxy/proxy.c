/* SPDX-License-Identifier: MIT */
#include "app/proxy/internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "http/basic.h"
#include "http/uri.h"
#include "rt/worker.h"

/* A request that has been through this many proxies of this name is going round in a circle. */
enum { VIA_LOOP = 8 };
/* Shorter than the minute or more that most servers keep an idle connection. */
enum { IDLE_MS = 45000 };

static bool judge_address(const struct addr *a, struct slice host, void *arg)
{
    const struct proxy *p = arg;
    return access_addr(&p->o.access, a, host);
}

static err_t read_auth(struct proxy *p)
{
    int fd = open(p->o.auth_file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fault(E_NOT_FOUND, "%s", p->o.auth_file);
    err_t e = NULL;
    for (ssize_t n = 1; !e && n > 0;) {
        char *at;
        e = buf_room(&p->auth, 4096, &at);
        n = e ? 0 : read(fd, at, 4096);
        p->auth.n += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    return e;
}

static err_t parse_parent(struct proxy *p)
{
    TRY(uri_parse(slice_z(p->o.parent), &p->parent));
    if (!p->parent.host.n || !slice_starts_case(p->parent.scheme, S("http")))
        return fault(E_USAGE, "--parent %s: not a URL such as http://proxy:3128", p->o.parent);
    p->parent_proxy = (struct client_proxy){
        .host = p->parent.host, .port = uri_port(&p->parent), .secure = slice_eq_case(p->parent.scheme, S("https"))};
    if (!p->parent.has_userinfo)
        return NULL;
    p->parent_proxy.authorization = basic_userinfo(&p->arena, p->parent.userinfo);
    return p->parent_proxy.authorization.n ? NULL : fault(E_USAGE, "--parent: a bad escape in user or password");
}

static err_t fill_in(struct proxy *p)
{
    p->loops = calloc((size_t)p->workers, sizeof *p->loops);
    if (!p->loops)
        return E_NO_MEMORY;
    if (p->o.cache_memory)
        TRY(cache_memory_new(p->o.cache_memory, NULL, &p->memory));
    if (p->o.cache_memory && p->o.cache_dir)
        TRY(cache_disk_new(p->o.cache_dir, p->o.cache_size, &p->disk));
    TRY(flights_new(&p->flights));
    if (p->o.origin_count)
        TRY(origins_new(p, &p->origins));
    if (p->o.parent)
        TRY(parse_parent(p));
    return p->o.auth_file ? read_auth(p) : NULL;
}

err_t proxy_new(const struct proxy_options *o, int workers, struct proxy **out)
{
    struct proxy *p = calloc(1, sizeof *p);
    if (!p)
        return E_NO_MEMORY; /* the process ends: the rules go with it */
    p->o = *o;
    p->workers = workers;
    err_t e = fill_in(p);
    if (e) {
        proxy_free(p);
        return e;
    }
    *out = p;
    return NULL;
}

void proxy_free(struct proxy *p)
{
    if (!p)
        return;
    cache_memory_free(p->memory);
    cache_disk_free(p->disk);
    flights_free(p->flights);
    origins_free(p->origins);
    buf_free(&p->auth);
    arena_reset(&p->arena);
    access_free(&p->o.access.clients);
    access_free(&p->o.access.allow_to);
    access_free(&p->o.access.deny_to);
    access_free(&p->o.trusted);
    free(p->loops);
    free(p);
}

/* Requests need not wait for the index: what is not in it yet is a miss. */
static void load_index(void *arg)
{
    struct proxy *p = arg;
    struct cache_disk_stats s;
    if (cache_disk_load(p->disk, TICK_NEVER))
        fault_clear();
    cache_disk_stats(p->disk, &s);
    log_line(LOG_INFO, "l7 proxy: %llu objects on disk, %llu bytes", (unsigned long long)s.objects,
             (unsigned long long)s.bytes);
}

err_t proxy_start(struct proxy *p, int index)
{
    struct proxy_loop *l = &p->loops[index];
    l->proxy = p;
    l->index = index;
    TRY(pool_new(&(struct pool_options){.idle_ms = IDLE_MS, .idle_per_origin = 256, .idle_total = 1024}, &l->pool));
    client_init(&l->guarded);
    client_init(&l->direct);
    client_init(&l->http1);
    l->guarded.tls_options = l->direct.tls_options = l->http1.tls_options = p->o.tls;
    l->guarded.pool = l->direct.pool = l->http1.pool = l->pool;
    l->guarded.trace = l->direct.trace = l->http1.trace = p->o.trace;
    l->guarded.dial = (struct dial_options){.allowed = judge_address, .arg = p};
    l->http1.version = CLIENT_HTTP1;
    if (!p->origins && !p->o.parent)
        l->http1.dial = l->guarded.dial;
    scope_open(&l->service);
    l->started = true;
    if (p->origins)
        TRY(origins_start(p, index));
    if (index == 0 && p->disk)
        TRY(scope_spawn(&l->service, "disk index", load_index, p));
    return index == 0 && p->o.control ? control_start(p) : NULL;
}

static void loop_done(struct proxy_loop *l)
{
    client_done(&l->guarded);
    client_done(&l->direct);
    client_done(&l->http1);
    pool_free(l->pool);
    fetch_free_spares(l);
    l->started = false;
}

void loop_enter(struct proxy_loop *l)
{
    l->active++;
}

void loop_leave(struct proxy_loop *l)
{
    if (--l->active == 0 && l->draining && l->started)
        loop_done(l);
}

static void leave_run(void *arg)
{
    loop_leave(arg);
}

void proxy_drain(struct proxy *p, int index)
{
    struct proxy_loop *l = &p->loops[index];
    if (!l->started)
        return;
    l->draining = true;
    scope_cancel(&l->service);
    loop_enter(l);
    /* On a fiber: HTTP/2 sessions have readers, whose end is waited for. */
    if (scope_spawn(loop_scope(loop_self()), "proxy end", leave_run, l)) {
        l->active--; /* what is idle ends with the process */
        fault_clear();
    }
}

/* ---- What cannot be done ---- */

struct slice job_note(struct job *j)
{
    static const char name[] = "Cache-Status: ";
    char *line = arena_new(j->arena, sizeof name + VERDICT_ROOM, 1);
    if (!line)
        return SLICE_NONE;
    memcpy(line, name, sizeof name - 1);
    char *value = line + sizeof name - 1;
    j->ex->note = slice_of(value, verdict_format(&j->verdict, value));
    return slice_of(line, sizeof name - 1 + j->ex->note.n);
}

err_t job_refuse(struct job *j, uint16_t status, const char *why, tick until)
{
    TRY(fetch_interims_sent(j, until));
    return reply_error(j->ex, status, slice_z(why), until);
}

err_t job_error(struct job *j, err_t e, tick until)
{
    char text[400];
    if (e == E_CANCELED || j->ex->status)
        return e; /* what has begun is broken off */
    fault_text(e, text, sizeof text);
    TRY(fetch_interims_sent(j, until));
    if (e == E_BAD_REQUEST || e == E_REQUEST_TIMEOUT || e == E_BODY_TOO_LARGE) /* the client's body, on its way */
        return reply_error(j->ex, e->http, arena_copy(j->arena, slice_z(text)), until);
    uint16_t status = e->http == 403 || e->http == 503 || e->http == 504 ? e->http : 502;
    struct slice page =
        arena_format(j->arena, "%s %.*s%s%.*s: %s", status == 403 ? "Refused to connect to" : "Asking",
                     SLICE_ARG(j->target.host), j->target.path.n ? " for " : "", SLICE_ARG(j->target.path), text);
    fault_clear();
    return reply_error(j->ex, status, page, until);
}

/* ---- Where it goes ---- */

static bool user_known(const struct proxy *p, struct slice given)
{
    struct slice rest = buf_slice(&p->auth), line;
    bool known = false;
    if (!slice_has(given, ':'))
        return false;
    while (slice_cut(&rest, '\n', &line)) {
        if (slice_ends(line, S("\r")))
            line.n--;
        known |= line.n && slice_eq_secret(line, given);
    }
    return known;
}

static bool authorized(struct job *j)
{
    struct slice value = fields_get(&j->in->fields, F_PROXY_AUTHORIZATION);
    if (!slice_starts_case(value, S("Basic ")))
        return false;
    struct buf plain = {.max = 1024};
    err_t e = text_base64_decode(slice_trim(slice_from(value, 6)), &plain);
    bool ok = !e && user_known(j->p, buf_slice(&plain));
    buf_free(&plain);
    return ok;
}

static err_t ask_for_login(struct job *j, tick until)
{
    struct http_fields extra = {0};
    if (!fields_add_id(j->arena, &extra, F_PROXY_AUTHENTICATE, S("Basic realm=\"l7 proxy\", charset=\"UTF-8\"")))
        return E_NO_MEMORY;
    return reply_error_fields(j->ex, 407, S("This proxy wants a user name and a password."), &extra, until);
}

static bool goes_round(const struct job *j)
{
    int n = 0;
    struct fields_list walk = {.fields = &j->in->fields, .id = F_VIA};
    for (struct slice hop; fields_has(&j->in->fields, F_VIA) && fields_element(&walk, &hop);)
        n += slice_ends(hop, S(" l7"));
    return n >= VIA_LOOP;
}

/* TRACE and OPTIONS with Max-Forwards: 0 end here (RFC 9110 section 7.6.2), as does OPTIONS * (section 9.3.7). */
static bool ends_here(const struct job *j)
{
    if (j->in->method == M_OPTIONS && j->in->form == TARGET_ASTERISK)
        return true;
    uint64_t left;
    return (j->in->method == M_TRACE || j->in->method == M_OPTIONS) &&
           slice_u64(fields_get(&j->in->fields, F_MAX_FORWARDS), &left) && left == 0;
}

static err_t answer_here(struct job *j, tick until)
{
    if (j->in->method == M_OPTIONS) {
        struct http_response r = {.status = 204};
        if (!fields_add_id(j->arena, &r.fields, F_ALLOW,
                           S("GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH")))
            return E_NO_MEMORY;
        TRY(reply_head(j->ex, &r, until));
        return reply_end(j->ex, until);
    }
    struct buf b = {.max = 64 << 10};
    err_t e = buf_format(&b, "%.*s %.*s HTTP/1.%d\r\n", SLICE_ARG(j->in->method_text), SLICE_ARG(j->in->target_text),
                         j->in->version > 10);
    for (uint16_t i = 0; !e && i < j->in->fields.n; i++) {
        const struct http_field *f = &j->in->fields.v[i];
        if (f->id != F_COOKIE && f->id != F_AUTHORIZATION && f->id != F_PROXY_AUTHORIZATION)
            e = buf_format(&b, "%.*s: %.*s\r\n", SLICE_ARG(f->name), SLICE_ARG(f->value));
    }
    if (!e)
        e = reply_text(j->ex, 200, S("message/http"), buf_slice(&b), until);
    buf_free(&b);
    return e;
}

static err_t front_page(struct job *j, tick until)
{
    return reply_text(j->ex, 200, S("text/plain; charset=utf-8"),
                      S("This is a proxy. Set it as HTTP proxy in a browser, or put a host in front of the path:\n"
                        "/www.example.org/index.html or /https://www.example.org/\n"),
                      until);
}

/* Fills route, target, secure and host. Answers by itself, and says so, when there is nothing to forward. */
static err_t find_route(struct job *j, bool *answered, tick until)
{
    *answered = true;
    j->target = j->in->target;
    if (j->p->origins) {
        j->route = ROUTE_REVERSE;
        j->target.scheme = j->ex->secure ? S("https") : S("http");
        if (!j->target.host.n) /* HTTP/1.0 */
            origins_name(j->p->origins, &j->target);
        j->host = j->in->form == TARGET_ABSOLUTE ? SLICE_NONE : fields_get(&j->in->fields, F_HOST);
        j->secure = j->ex->secure;
    } else if (j->in->form == TARGET_ABSOLUTE) {
        j->route = ROUTE_FORWARD;
    } else if (address_route(j)) {
        j->route = ROUTE_ADDRESS;
    } else {
        struct slice to = address_referer(j);
        if (to.n) {
            struct http_response r = {.status = 307};
            if (!fields_add_id(j->arena, &r.fields, F_LOCATION, to))
                return E_NO_MEMORY;
            return reply_whole(j->ex, &r, SLICE_NONE, until);
        }
        if (j->in->method == M_GET && slice_eq(j->target.path, S("/")))
            return front_page(j, until);
        return job_refuse(j, 404, "Nothing here: this is a proxy. Its own pages have the form /host/path.", until);
    }
    if (j->route != ROUTE_REVERSE)
        j->secure = slice_eq_case(j->target.scheme, S("https"));
    if (j->route != ROUTE_REVERSE && !j->secure && !slice_eq_case(j->target.scheme, S("http")))
        return job_refuse(j, 400, "Only http and https can be fetched.", until);
    if (!j->host.n) {
        struct buf b = {.max = 512};
        err_t e = uri_add_authority(&b, &j->target);
        j->host = e ? SLICE_NONE : arena_copy(j->arena, buf_slice(&b));
        buf_free(&b);
        if (!j->host.n)
            return job_refuse(j, 400, "The host name is too long.", until);
    }
    *answered = false;
    return NULL;
}

/* Who may use the proxy, and what is not forwarded. */
static err_t admit(struct job *j, bool *answered, tick until)
{
    *answered = true;
    if (!access_client(&j->p->o.access, j->ex->peer))
        return job_refuse(j, 403, "This proxy does not serve your address.", until);
    if (proxy_logs_in(j->p) && !authorized(j))
        return ask_for_login(j, until);
    if (goes_round(j))
        return job_refuse(j, 508, "The request is going round in a circle of proxies.", until);
    if (ends_here(j))
        return answer_here(j, until);
    *answered = false;
    return NULL;
}

static bool expects_other(const struct http_fields *f)
{
    return fields_has(f, F_EXPECT) && !slice_eq_case(fields_get(f, F_EXPECT), S("100-continue"));
}

/* The cache's answer, or the origin's. */
static err_t fetch_or_answer(struct job *j, tick until)
{
    bool others = false;
    struct cache_object *o = store_find(j, &others, until);
    j->verdict.fwd = others ? VERDICT_VARY_MISS : VERDICT_URI_MISS;
    if (o) {
        struct fresh_info info = cache_object_info(o);
        struct fresh_verdict v = fresh_judge(&info, &j->ask, wall_now());
        bool covers = answer_covers(j, o);
        if (covers && v.use != FRESH_VALIDATE) {
            j->verdict = (struct verdict){.fwd = VERDICT_HIT, .has_ttl = true, .ttl = v.ttl};
            if (v.use == FRESH_SERVE_SWR)
                fetch_background(j, o);
            err_t e = answer_stored(j, o, until);
            cache_object_unref(o);
            return e;
        }
        j->verdict.fwd = !covers ? VERDICT_PARTIAL : v.by_request ? VERDICT_REQUEST : VERDICT_STALE;
    }
    if (j->ask.cc.has & CC_ONLY_IF_CACHED) { /* RFC 9111 section 5.2.1.7 */
        cache_object_unref(o);
        return job_refuse(j, 504, "Nothing stored can answer this, and the request wants nothing else.", until);
    }
    return fetch_cached(j, o, until);
}

/* Upgrades, and preconditions that are not for caches (RFC 9111 section 4.3.2). */
static bool for_origin_only(const struct job *j)
{
    return j->upgrade || fields_has(&j->in->fields, F_IF_MATCH) || fields_has(&j->in->fields, F_IF_UNMODIFIED_SINCE);
}

static err_t dispatch(struct job *j, tick until)
{
    bool answered;
    err_t e = admit(j, &answered, until);
    if (e || answered)
        return e;
    if (j->in->method == M_CONNECT)
        return tunnel_connect(j, until);
    e = find_route(j, &answered, until);
    if (e || answered)
        return e;
    if (j->route != ROUTE_REVERSE && !access_host(&j->p->o.access, j->target.host))
        return job_refuse(j, 403, "The rules of this proxy do not allow that destination.", until);
    if (expects_other(&j->in->fields))
        return job_refuse(j, 417, "Only 100-continue can be expected.", until);
    j->upgrade = head_upgrades(j->in);
    bool get = j->in->method == M_GET || j->in->method == M_HEAD;
    if (!j->p->memory || !get || j->ex->body_length || for_origin_only(j)) {
        j->verdict.fwd = get ? VERDICT_BYPASS : VERDICT_METHOD;
        if (j->p->memory)
            fresh_request_of(&j->ask, j->in->method, &j->in->fields);
        return fetch_pass(j, until);
    }
    fresh_request_of(&j->ask, j->in->method, &j->in->fields);
    if (!cache_key_make(&j->key, &j->target, S("http"), j->arena))
        return job_refuse(j, 400, "The target cannot be read in one way only.", until);
    return fetch_or_answer(j, until);
}

/* ---- entry ---- */

err_t proxy_handle(struct exchange *ex, const void *conf, tick until)
{
    /* The configuration is the shared, mutable-by-design proxy; const only for handlers that have none. */
    struct proxy *p = (struct proxy *)(uintptr_t)conf;
    struct job j = {.p = p, .here = &p->loops[worker_index()], .ex = ex, .in = &ex->request, .arena = ex->arena};
    /* RFC 9112 section 9.3: a proxy does not keep the connection of an HTTP/1.0 client; as a gateway it may. */
    ex->last = j.in->version < 11 && !p->origins;
    loop_enter(j.here);
    err_t e = dispatch(&j, until);
    if (e && e != E_CANCELED && !ex->status && !ex->detached)
        e = job_error(&j, e, until);
    if (j.interims_open)
        scope_close(&j.interims);
    loop_leave(j.here);
    return e;
}
