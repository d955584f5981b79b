/* SPDX-License-Identifier: MIT */
/*
 * timing.c -- --timing: where the time of each hop went, as a waterfall or as one JSON object a line, on stderr.
 *
 *     GET http://127.0.0.1:8005/  200  1.2 ms
 *       dns       0.1 ms  #
 *       tcp       0.3 ms   ###
 *       ...
 */
#include <stdio.h>
#include <unistd.h>

#include "app/get/get_impl.h"
#include "base/json.h"
#include "base/text.h"

enum { BAR = 40, PHASES = 6 };

struct phase {
    const char *name;
    tick from, to; /* 0: did not happen */
};

static void phases(const struct hop *h, struct phase out[PHASES])
{
    const struct client_times *t = &h->times;
    tick dialled = t->secured ? t->secured : t->connected ? t->connected : t->start;
    out[0] = (struct phase){"dns", t->start, t->resolved};
    out[1] = (struct phase){"tcp", t->resolved ? t->resolved : t->start, t->connected};
    out[2] = (struct phase){"tls", t->connected, t->secured};
    out[3] = (struct phase){"request", dialled, t->sent};
    out[4] = (struct phase){"first byte", t->sent, t->first_byte};
    out[5] = (struct phase){"transfer", t->first_byte, t->done};
}

static void bar(const struct hop *h, const struct phase *p)
{
    double whole = (double)(h->times.done - h->times.start), scale = whole > 0 ? BAR / whole : 0;
    int from = (int)((double)(p->from - h->times.start) * scale), n = (int)((double)(p->to - p->from) * scale);
    char text[32];
    from = from < 0 ? 0 : from > BAR - 1 ? BAR - 1 : from;
    n = n < 1 ? 1 : from + n > BAR ? BAR - from : n;
    fprintf(stderr, "  %-10s %10s  %*s", p->name, text_duration_human(p->to - p->from, text), from, "");
    while (n-- > 0)
        fputc('#', stderr);
    fputc('\n', stderr);
}

static void waterfall(const struct hop *h)
{
    struct phase v[PHASES];
    char url[1024], total[32];
    (void)text_safe(h->url, url, sizeof url);
    fprintf(stderr, "%.*s %s  ", SLICE_ARG(h->method), url);
    if (h->status)
        fprintf(stderr, "%u  ", h->status);
    fprintf(stderr, "%s%s\n", text_duration_human(h->times.done - h->times.start, total),
            h->reused ? "  (connection reused)" : "");
    phases(h, v);
    for (int i = 0; i < PHASES; i++)
        if (v[i].from && v[i].to && v[i].to >= v[i].from)
            bar(h, &v[i]);
}

static void seconds(struct json *j, const char *key, const struct phase *p)
{
    json_key(j, key);
    if (p->from && p->to && p->to >= p->from)
        json_real(j, (double)(p->to - p->from) / 1e9, 6);
    else
        json_null(j);
}

static void json_hop(struct json *j, const struct hop *h)
{
    static const char *const keys[PHASES] = {"dns_s", "tcp_s", "tls_s", "request_s", "first_byte_s", "transfer_s"};
    struct phase v[PHASES];
    phases(h, v);
    json_open(j, '{');
    json_key(j, "url"), json_string(j, h->url);
    json_key(j, "method"), json_string(j, h->method);
    json_key(j, "status"), json_int(j, h->status);
    json_key(j, "http"), json_string(j, h->version == 20 ? S("2") : h->version == 10 ? S("1.0") : S("1.1"));
    json_key(j, "peer"), json_string(j, slice_z(h->peer));
    json_key(j, "reused"), json_bool(j, h->reused);
    json_key(j, "start"), json_real(j, (double)h->wall_ns / 1e9, 6);
    for (int i = 0; i < PHASES; i++)
        seconds(j, keys[i], &v[i]);
    json_key(j, "total_s"), json_real(j, (double)(h->times.done - h->times.start) / 1e9, 6);
    json_key(j, "body_bytes"), json_uint(j, h->body_size);
    json_key(j, "error");
    if (h->error)
        json_string(j, slice_z(h->error));
    else
        json_null(j);
    json_close(j, '}');
}

static err_t show_json(const struct transfer *t)
{
    AUTO(buf_free) struct buf b = {0};
    struct json j = json_start(&b);
    json_open(&j, '{');
    json_key(&j, "url"), json_string(&j, t->typed);
    json_key(&j, "retries"), json_int(&j, t->retries);
    json_key(&j, "redirects"), json_int(&j, t->redirects);
    json_key(&j, "error");
    if (t->error)
        json_string(&j, slice_z(t->why));
    else
        json_null(&j);
    json_key(&j, "hops"), json_open(&j, '[');
    for (const struct hop *h = t->hops; h; h = h->next)
        json_hop(&j, h);
    json_close(&j, ']');
    json_close(&j, '}');
    TRY(json_end_line(&j));
    fwrite(b.p, 1, b.n, stderr);
    return NULL;
}

err_t timing_show(const struct transfer *t)
{
    if (strcmp(t->run->conf->timing, "json") == 0)
        return show_json(t);
    for (const struct hop *h = t->hops; h; h = h->next)
        waterfall(h);
    return NULL;
}
