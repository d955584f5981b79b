/* SPDX-License-Identifier: MIT */
/*
 * tunnel.c -- bytes both ways until both sides have ended: CONNECT (RFC 9110 section 9.3.6) and Upgrade. Each direction
 * has its own fiber; the end of one is passed on as a half-close. Between two plain TCP sockets bulk never comes up: it
 * goes through a pipe by splice(2), while what trickles needs no pipe (stream_copy).
 */
#include "app/proxy/internal.h"

#include "base/stat.h"
#include "http/uri.h"
#include "net/stream.h"

struct way {
    struct stream *from, *to;
    struct scope *both;
    struct stream_flow flow;
    err_t e;
};

static void way_run(void *arg)
{
    struct way *w = arg;
    w->e = stream_copy(w->to, w->from, &w->flow);
    stat_add(STAT_TUNNEL_BYTES, (int64_t)w->flow.moved);
    if (!w->e)
        w->e = stream_finish(w->to, after(w->flow.idle_ms));
    if (w->e)
        scope_cancel(w->both); /* a broken side ends both directions */
}

static void tunnel_run(struct stream *client, struct stream *origin)
{
    struct scope both;
    tick active = now();
    /* A silent tunnel is not a dead one: long polls, idle WebSockets. */
    struct stream_flow flow = {.idle_ms = 10 * 60 * 1000, .active = &active};
    struct way up = {.from = client, .to = origin, .both = &both, .flow = flow};
    struct way down = {.from = origin, .to = client, .both = &both, .flow = flow};
    scope_open(&both);
    err_t e = scope_spawn(&both, "tunnel up", way_run, &up);
    if (!e)
        e = scope_spawn(&both, "tunnel down", way_run, &down);
    if (!e)
        e = scope_join(&both, TICK_NEVER);
    scope_close(&both);
    fault_clear();
}

static err_t give_early(struct stream *to, struct slice early)
{
    return early.n ? stream_write(to, early, after(30000)) : NULL;
}

/* What each side has said behind its head goes first. Closes both; `e` is what went wrong before. */
static void tunnel(err_t e, struct stream *client, struct slice client_early, struct stream *origin,
                   struct slice origin_early)
{
    e = e ? e : give_early(client, origin_early);
    e = e ? e : give_early(origin, client_early);
    if (!e)
        tunnel_run(client, origin);
    stream_close(client);
    stream_close(origin);
}

/* ---- CONNECT ---- */

static err_t connect_out(struct job *j, struct stream **out)
{
    tick by = origin_until(j);
    int fd;
    TRY(dial(j->target.host, j->target.port, &j->here->guarded.dial, &fd, NULL, NULL, by));
    return stream_tcp(fd, out);
}

/* Through the parent: CONNECT again. */
static err_t connect_parent(struct job *j, struct call *c, struct stream **out, struct slice *early)
{
    struct http_fields *fields = ARENA_NEW(j->arena, struct http_fields);
    if (!fields)
        return E_NO_MEMORY;
    *fields = (struct http_fields){0};
    struct slice login = j->p->parent_proxy.authorization;
    if (!login.n && !proxy_logs_in(j->p))
        login = fields_get(&j->in->fields, F_PROXY_AUTHORIZATION); /* the client's, for the parent */
    if (!fields_add_id(j->arena, fields, F_HOST, j->in->target_text) ||
        (login.n && !fields_add_id(j->arena, fields, F_PROXY_AUTHORIZATION, login)))
        return E_NO_MEMORY;
    struct client_request r = {.method = S("CONNECT"),
                               .secure = j->p->parent_proxy.secure,
                               .host = j->p->parent_proxy.host,
                               .port = j->p->parent_proxy.port,
                               .target = j->in->target_text,
                               .fields = fields,
                               .fresh = true};
    TRY(client_open(&j->here->http1, &r, c, origin_until(j)));
    if (c->response.status / 100 != 2)
        return fault(E_STATUS, "the parent proxy answered %u", c->response.status);
    return call_detach(c, out, early);
}

/* A parent that wants a login which only the client can have: its challenge goes to the client, as with any request. */
static bool wants_clients_login(const struct job *j, const struct call *c)
{
    return c->response.status == 407 && !j->p->parent_proxy.authorization.n && !proxy_logs_in(j->p);
}

static err_t pass_challenge(struct job *j, const struct call *c, tick until)
{
    struct http_fields challenge = {0};
    uint16_t at = 0;
    for (struct slice one; fields_line(&c->response.fields, F_PROXY_AUTHENTICATE, &at, &one);)
        if (!fields_add_id(j->arena, &challenge, F_PROXY_AUTHENTICATE, one))
            return E_NO_MEMORY;
    return reply_error_fields(j->ex, 407, S("The parent proxy wants a user name and a password."), &challenge, until);
}

static err_t open_far_side(struct job *j, struct call *c, struct stream **far, struct slice *early)
{
    return j->p->o.parent ? connect_parent(j, c, far, early) : connect_out(j, far);
}

err_t tunnel_connect(struct job *j, tick until)
{
    struct call *c = ARENA_NEW(j->arena, struct call);
    struct stream *near, *far;
    struct slice far_early = SLICE_NONE, near_early;
    j->target = j->in->target;
    if (!c)
        return E_NO_MEMORY;
    *c = (struct call){0};
    if (j->p->origins)
        return job_refuse(j, 405, "This server is not a forward proxy.", until);
    if (!j->target.host.n || !j->target.port)
        return job_refuse(j, 400, "CONNECT needs a host and a port.", until);
    if (!access_connect_port(&j->p->o.access, j->target.port))
        return job_refuse(j, 403, "The rules of this proxy do not allow CONNECT to that port.", until);
    if (!access_host(&j->p->o.access, j->target.host))
        return job_refuse(j, 403, "The rules of this proxy do not allow that destination.", until);
    err_t e = open_far_side(j, c, &far, &far_early);
    if (e) {
        e = wants_clients_login(j, c) ? pass_challenge(j, c, until) : job_error(j, e, until);
        if (j->p->o.parent)
            call_close(c);
        return e;
    }
    stat_add(STAT_TUNNELS, 1);
    e = exchange_detach(j->ex, &near, &near_early);
    if (e) {
        stream_close(far);
    } else {
        j->ex->note = S("tunnel");
        e = stream_write(near, S("HTTP/1.1 200 Connection established\r\n\r\n"), after(30000));
        tunnel(e, near, near_early, far, far_early);
    }
    if (j->p->o.parent)
        call_close(c);
    return NULL;
}

/* ---- Upgrade (RFC 9110 section 7.8): the origin said 101 ---- */

static err_t write_switch(struct job *j, struct stream *near, const struct http_response *r)
{
    struct http_fields f = {0};
    struct buf b = {.max = 64 << 10};
    TRY(head_from_origin(&r->fields, r->version, NULL, j->arena, &f));
    err_t e = buf_format(&b, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %.*s\r\n",
                         SLICE_ARG(fields_get(&r->fields, F_UPGRADE)));
    for (uint16_t i = 0; !e && i < f.n; i++)
        e = buf_format(&b, "%.*s: %.*s\r\n", SLICE_ARG(f.v[i].name), SLICE_ARG(f.v[i].value));
    e = e ? e : buf_add(&b, S("\r\n"));
    e = e ? e : stream_write(near, buf_slice(&b), after(30000));
    buf_free(&b);
    return e;
}

err_t tunnel_upgrade(struct job *j, struct call *c, tick until)
{
    struct stream *near, *far;
    struct slice near_early, far_early;
    TRY(fetch_interims_sent(j, until));
    TRY(call_detach(c, &far, &far_early));
    stat_add(STAT_TUNNELS, 1);
    err_t e = exchange_detach(j->ex, &near, &near_early);
    if (e) {
        stream_close(far);
        return e;
    }
    j->ex->note = S("upgraded");
    tunnel(write_switch(j, near, &c->response), near, near_early, far, far_early);
    return NULL;
}
