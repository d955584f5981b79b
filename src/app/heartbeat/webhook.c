/* SPDX-License-Identifier: MIT */
#include "app/heartbeat/webhook.h"

#include <stdio.h>
#include <stdlib.h>

#include "http/client.h"
#include "http/fields.h"
#include "http/uri.h"
#include "rt/loop.h"

enum { POST_MS = 10000, TARGET_MAX = 2048 };

struct webhook {
    char *url;
    struct uri uri; /* into `url` */
    char target[TARGET_MAX];
    struct client client;
    bool started;
    const char *ca_file;
};

err_t webhook_new(const char *url, const char *ca_file, struct webhook **out)
{
    struct webhook *w = calloc(1, sizeof *w);
    if (!w || !(w->url = strdup(url))) {
        free(w);
        return E_NO_MEMORY;
    }
    w->ca_file = ca_file;
    bool good = !uri_parse(slice_z(w->url), &w->uri) && w->uri.host.n && !w->uri.has_userinfo &&
                (slice_eq_case(w->uri.scheme, S("http")) || slice_eq_case(w->uri.scheme, S("https")));
    struct slice path = w->uri.path.n ? w->uri.path : S("/");
    int n = snprintf(w->target, sizeof w->target, "%.*s%s%.*s", SLICE_ARG(path), w->uri.has_query ? "?" : "",
                     SLICE_ARG(w->uri.query));
    if (!good || n < 0 || n >= TARGET_MAX) {
        webhook_free(w);
        return fault(E_USAGE, "--webhook: '%s' is no http or https URL", url);
    }
    *out = w;
    return NULL;
}

/* One try. `*status` is 0 when none came. */
static err_t post_once(struct webhook *w, struct slice json, unsigned *status, tick until)
{
    struct http_field field[2];
    struct http_fields fields = {.v = field, .cap = 2};
    (void)fields_push(&fields, S("Content-Type"), S("application/json"));
    (void)fields_push(&fields, S("User-Agent"), S("l7/" L7_VERSION));
    struct client_request request = {.method = S("POST"),
                                     .secure = slice_eq_case(w->uri.scheme, S("https")),
                                     .host = w->uri.host,
                                     .port = w->uri.port,
                                     .target = slice_z(w->target),
                                     .fields = &fields,
                                     .body = {.bytes = json, .present = true}};
    struct call call = {0};
    char sink[1024];
    size_t got = 0;
    err_t e = client_open(&w->client, &request, &call, until);
    *status = e ? 0 : call.response.status;
    while (!e && !(e = call_read(&call, sink, sizeof sink, &got, until)) && got)
        ;
    call_close(&call);
    return *status ? NULL : e; /* how the body of an answer ends does not matter */
}

static bool try_again(unsigned status)
{
    return status == 408 || status == 429 || status >= 500;
}

err_t webhook_post(struct webhook *w, const struct event *event)
{
    AUTO(buf_free) struct buf json = {0};
    TRY(event_json(event, &json));
    if (!w->started) {
        client_init(&w->client);
        w->client.tls_options.ca_file = w->ca_file;
        w->started = true;
    }
    unsigned status = 0;
    err_t e = NULL;
    for (int i = 0; i < WEBHOOK_TRIES; i++) {
        e = post_once(w, (struct slice){json.p, json.n - 1}, &status, after(POST_MS));
        if (e ? !e->retry : !try_again(status))
            break;
        if (i + 1 < WEBHOOK_TRIES)
            TRY(fiber_sleep(after(1000 << i)));
    }
    if (e)
        return e;
    /* Only the host: the path of such a URL is often its password. */
    return status >= 400 ? fault(E_PROTO, "%.*s: status %u", SLICE_ARG(w->uri.host), status) : NULL;
}

void webhook_done(struct webhook *w)
{
    if (w && w->started)
        client_done(&w->client);
    if (w)
        w->started = false;
}

void webhook_free(struct webhook *w)
{
    if (w)
        free(w->url);
    free(w);
}
