/* SPDX-License-Identifier: MIT */
/* hop.c -- one request and its response, kept for --timing, --har and -w, and shown by -v. */
#include <stdio.h>
#include <unistd.h>

#include "app/get/get_impl.h"
#include "app/get/rules.h"
#include "http/fields.h"
#include "http/status.h"
#include "http/uri.h"
#include "rt/loop.h"

/* Without what is not sent, or is secret. */
static struct slice url_text(struct arena *a, const struct uri *full)
{
    AUTO(buf_free) struct buf b = {0};
    struct uri u = *full;
    u.has_userinfo = u.has_fragment = false;
    return uri_add(&b, &u) ? S("") : arena_copy(a, buf_slice(&b));
}

void hop_start(struct transfer *t, const struct client_request *rq)
{
    struct hop *h = ARENA_NEW(&t->arena, struct hop);
    t->hop = h;
    if (!h)
        return; /* past the arena's cap: the record ends, the transfer goes on */
    *h = (struct hop){.url = url_text(&t->arena, &t->url), .wall_ns = clock_wall(), .secure = rq->secure};
    h->method = arena_copy(&t->arena, rq->method);
    if (rq->body.present && !rq->body.read)
        h->sent_body = rq->body.bytes.n;
    else if (rq->body.present && rq->body.length != CLIENT_UNKNOWN)
        h->sent_body = rq->body.length;
    *t->last_hop = h;
    t->last_hop = &h->next;
    if (t->run->conf->har)
        for (int i = 0; i < rq->fields->n; i++)
            (void)fields_add(&t->arena, &h->asked, arena_copy(&t->arena, rq->fields->v[i].name),
                             arena_copy(&t->arena, rq->fields->v[i].value));
}

/* HTTP/2 has no text form: one is made, as people know it. */
static err_t head_text(struct transfer *t)
{
    const struct http_response *r = &t->call.response;
    AUTO(buf_free) struct buf b = {0};
    t->head = t->call.head;
    if (t->head.n || r->version != 20)
        return NULL;
    TRY(buf_format(&b, "HTTP/2 %u \r\n", r->status));
    for (int i = 0; i < r->fields.n; i++) {
        TRY(buf_add(&b, r->fields.v[i].name));
        TRY(buf_add(&b, S(": ")));
        TRY(buf_add(&b, r->fields.v[i].value));
        TRY(buf_add(&b, S("\r\n")));
    }
    TRY(buf_add(&b, S("\r\n")));
    t->head = arena_copy(&t->arena, buf_slice(&b));
    return t->head.p ? NULL : E_NO_MEMORY;
}

static void show_connection(const struct transfer *t)
{
    const struct call *call = &t->call;
    char peer[ADDR_TEXT];
    struct tls_info tls;
    if (call->reused)
        fprintf(stderr, "* on the connection of before\n");
    else
        fprintf(stderr, "* connected to %s\n", addr_text(&call->peer, peer));
    if (!call->reused && call_tls_info(call, &tls))
        fprintf(stderr, "* %s, %s%s\n", tls.version, tls.cipher, tls.resumed ? ", resumed" : "");
}

static err_t dump(const struct transfer *t)
{
    int fd = t->run->dump_fd;
    if (fd >= 0 && write(fd, t->head.p, t->head.n) != (ssize_t)t->head.n)
        return fault(E_IO, "%s", t->run->conf->dump_header);
    return NULL;
}

static void keep_response(struct transfer *t, struct hop *h)
{
    const struct http_response *r = &t->call.response;
    h->status = r->status;
    h->version = r->version;
    h->reused = t->call.reused;
    h->head_size = t->head.n;
    h->request_size = t->call.request_head.n;
    h->content_type = arena_copy(&t->arena, fields_get(&r->fields, F_CONTENT_TYPE));
    h->redirect_url = arena_copy(&t->arena, fields_get(&r->fields, F_LOCATION));
    h->reason = arena_copy(&t->arena, r->reason);
    (void)addr_text_host(&t->call.peer, h->peer);
    h->port = addr_port(&t->call.peer);
    for (int i = 0; t->run->conf->har && i < r->fields.n; i++)
        (void)fields_add(&t->arena, &h->told, arena_copy(&t->arena, r->fields.v[i].name),
                         arena_copy(&t->arena, r->fields.v[i].value));
}

err_t hop_head(struct transfer *t)
{
    TRY(head_text(t));
    if (t->hop)
        keep_response(t, t->hop);
    struct slice after = fields_get(&t->call.response.fields, F_RETRY_AFTER);
    if (!after.n || !rules_retry_after(after, wall_now() / TICK_S, &t->retry_after))
        t->retry_after = 0;
    if (t->run->conf->verbose) {
        show_connection(t);
        say_head(t->run, '>', t->call.request_head);
        say_head(t->run, '<', t->head);
    }
    return dump(t);
}

void hop_end(struct transfer *t, err_t e)
{
    struct hop *h = t->hop;
    t->hop = NULL;
    if (!h)
        return;
    h->times = t->call.times;
    if (!h->times.done)
        h->times.done = clock_now();
    h->body_size = t->call.received;
    h->error = e ? e->text : NULL;
}
