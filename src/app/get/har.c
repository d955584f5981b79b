/* SPDX-License-Identifier: MIT */
/* har.c -- --har FILE: every request and response as an HTTP Archive 1.2, for the browsers' and other people's viewers.
   Bodies are not kept, and secrets are masked unless --trace-secrets. */
#include <stdio.h>
#include <time.h>

#include "app/get/get_impl.h"
#include "base/json.h"
#include "http/fields.h"
#include "http/uri.h"

static void text(struct json *j, const char *key, struct slice value)
{
    json_key(j, key);
    json_string(j, value);
}

static void number(struct json *j, const char *key, int64_t value)
{
    json_key(j, key);
    json_int(j, value);
}

static bool secret(enum http_field_id id)
{
    return id == F_AUTHORIZATION || id == F_PROXY_AUTHORIZATION || id == F_COOKIE || id == F_SET_COOKIE;
}

static void fields(struct json *j, const struct http_fields *f, bool secrets)
{
    json_key(j, "headers");
    json_open(j, '[');
    for (int i = 0; i < f->n; i++) {
        json_open(j, '{');
        text(j, "name", f->v[i].name);
        text(j, "value", secret(f->v[i].id) && !secrets ? S("<masked>") : f->v[i].value);
        json_close(j, '}');
    }
    json_close(j, ']');
}

/* "a=1&b" of the URL, as pairs. */
static void query(struct json *j, struct slice url)
{
    struct uri u = {0};
    struct slice pair, name;
    if (uri_parse(url, &u))
        fault_clear();
    json_key(j, "queryString");
    json_open(j, '[');
    for (struct slice rest = u.query; u.query.n && slice_cut(&rest, '&', &pair);) {
        json_open(j, '{');
        if (!slice_cut(&pair, '=', &name))
            name = S("");
        text(j, "name", name);
        text(j, "value", pair);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static struct slice version(const struct hop *h)
{
    return h->version == 20 ? S("HTTP/2") : h->version == 10 ? S("HTTP/1.0") : S("HTTP/1.1");
}

static void request(struct json *j, const struct hop *h, bool secrets)
{
    json_key(j, "request");
    json_open(j, '{');
    text(j, "method", h->method);
    text(j, "url", h->url);
    text(j, "httpVersion", version(h));
    json_key(j, "cookies"), json_open(j, '['), json_close(j, ']');
    fields(j, &h->asked, secrets);
    query(j, h->url);
    number(j, "headersSize", h->request_size ? (int64_t)h->request_size : -1);
    number(j, "bodySize", (int64_t)h->sent_body);
    json_close(j, '}');
}

static void response(struct json *j, const struct hop *h, bool secrets)
{
    json_key(j, "response");
    json_open(j, '{');
    number(j, "status", h->status);
    text(j, "statusText", h->reason);
    text(j, "httpVersion", version(h));
    json_key(j, "cookies"), json_open(j, '['), json_close(j, ']');
    fields(j, &h->told, secrets);
    json_key(j, "content"), json_open(j, '{');
    number(j, "size", (int64_t)h->body_size);
    text(j, "mimeType", h->content_type.n ? h->content_type : S("x-unknown"));
    json_close(j, '}');
    text(j, "redirectURL", h->redirect_url);
    number(j, "headersSize", h->head_size ? (int64_t)h->head_size : -1);
    number(j, "bodySize", (int64_t)h->body_size);
    if (h->error)
        text(j, "_error", slice_z(h->error));
    json_close(j, '}');
}

/* Milliseconds; -1 for what did not happen. */
static void span(struct json *j, const char *key, tick from, tick to)
{
    json_key(j, key);
    json_real(j, from && to >= from ? (double)(to - from) / 1e6 : -1, 3);
}

static void timings(struct json *j, const struct hop *h)
{
    const struct client_times *t = &h->times;
    tick dialled = t->secured ? t->secured : t->connected ? t->connected : t->start;
    json_key(j, "timings");
    json_open(j, '{');
    span(j, "blocked", 0, 0);
    span(j, "dns", t->resolved ? t->start : 0, t->resolved);
    span(j, "connect", t->connected ? (t->resolved ? t->resolved : t->start) : 0, dialled);
    span(j, "ssl", t->secured ? t->connected : 0, t->secured);
    span(j, "send", dialled, t->sent > dialled ? t->sent : dialled);
    span(j, "wait", t->sent ? t->sent : t->done, t->first_byte ? t->first_byte : t->done);
    span(j, "receive", t->first_byte ? t->first_byte : t->done, t->done);
    json_close(j, '}');
}

static void entry(struct json *j, const struct hop *h, bool secrets)
{
    char date[40];
    time_t s = (time_t)(h->wall_ns / TICK_S);
    struct tm tm;
    size_t n = strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", gmtime_r(&s, &tm));
    snprintf(date + n, sizeof date - n, ".%03dZ", (int)(h->wall_ns % TICK_S / TICK_MS));
    json_open(j, '{');
    text(j, "startedDateTime", slice_z(date));
    json_key(j, "time"), json_real(j, (double)(h->times.done - h->times.start) / 1e6, 3);
    request(j, h, secrets);
    response(j, h, secrets);
    json_key(j, "cache"), json_open(j, '{'), json_close(j, '}');
    timings(j, h);
    if (h->peer[0])
        text(j, "serverIPAddress", slice_z(h->peer));
    json_close(j, '}');
}

err_t har_write(const struct run *r)
{
    AUTO(buf_free) struct buf b = {0};
    struct json j = json_start(&b);
    json_open(&j, '{'), json_key(&j, "log"), json_open(&j, '{');
    text(&j, "version", S("1.2"));
    json_key(&j, "creator"), json_open(&j, '{');
    text(&j, "name", S("l7 get"));
    text(&j, "version", slice_z(L7_VERSION));
    json_close(&j, '}');
    json_key(&j, "entries"), json_open(&j, '[');
    for (size_t i = 0; i < r->count; i++)
        for (const struct hop *h = r->transfers[i]->hops; h; h = h->next)
            entry(&j, h, r->conf->trace_secrets);
    json_close(&j, ']'), json_close(&j, '}'), json_close(&j, '}');
    TRY(json_end_line(&j));
    return buf_write_file(&b, r->conf->har);
}
