/* SPDX-License-Identifier: MIT */
/* write_out.c -- -w FORMAT: %{variables} with curl's names, printed on stdout after a transfer. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/get/get_impl.h"
#include "base/json.h"
#include "base/text.h"

struct facts {
    const struct transfer *t;
    const struct hop *last;
    tick start, end;
};

static err_t since(const struct facts *f, tick at, struct buf *out)
{
    return buf_format(out, "%.6f", at > f->start ? (double)(at - f->start) / 1e9 : 0.0);
}

static uint64_t connects(const struct facts *f)
{
    uint64_t n = 0;
    for (const struct hop *h = f->t->hops; h; h = h->next)
        n += !h->reused && h->times.connected;
    return n;
}

static err_t text_of(const struct facts *f, struct slice name, struct buf *out, bool *known)
{
    const struct hop *h = f->last;
    const struct output *o = &f->t->output;
    static const struct hop none;
    h = h ? h : &none;
    *known = true;
    if (slice_eq(name, S("url_effective")))
        return buf_add(out, h->url);
    if (slice_eq(name, S("url")))
        return buf_add(out, f->t->typed);
    if (slice_eq(name, S("content_type")))
        return buf_add(out, h->content_type);
    if (slice_eq(name, S("redirect_url")))
        return buf_add(out, h->redirect_url);
    if (slice_eq(name, S("method")))
        return buf_add(out, h->method);
    if (slice_eq(name, S("scheme")))
        return buf_add(out, h->secure ? S("HTTPS") : S("HTTP"));
    if (slice_eq(name, S("remote_ip")))
        return buf_add(out, slice_z(h->peer));
    if (slice_eq(name, S("errormsg")))
        return buf_add(out, slice_z(f->t->why));
    if (slice_eq(name, S("filename_effective")))
        return buf_add(out, slice_z(o->path));
    if (slice_eq(name, S("http_version")))
        return buf_add(out, h->version == 20 ? S("2") : h->version == 10 ? S("1.0") : h->version ? S("1.1") : S("0"));
    *known = false;
    return NULL;
}

static err_t time_of(const struct facts *f, struct slice name, struct buf *out, bool *known)
{
    static const struct client_times none;
    const struct client_times *t = f->last ? &f->last->times : &none;
    *known = true;
    if (slice_eq(name, S("time_total")))
        return since(f, f->end, out);
    if (slice_eq(name, S("time_namelookup")))
        return since(f, t->resolved, out);
    if (slice_eq(name, S("time_connect")))
        return since(f, t->connected, out);
    if (slice_eq(name, S("time_appconnect")))
        return since(f, t->secured, out);
    if (slice_eq(name, S("time_pretransfer")))
        return since(f, t->secured ? t->secured : t->connected, out);
    if (slice_eq(name, S("time_starttransfer")))
        return since(f, t->first_byte, out);
    if (slice_eq(name, S("time_redirect")))
        return since(f, f->t->redirects ? t->start : 0, out);
    *known = false;
    return NULL;
}

static err_t number_of(const struct facts *f, struct slice name, struct buf *out, bool *known)
{
    static const struct hop none;
    const struct hop *h = f->last ? f->last : &none;
    double s = (double)(f->end - f->start) / 1e9;
    const struct {
        const char *name;
        uint64_t value;
    } v[] = {
        {"size_download", f->t->raw_bytes},
        {"size_upload", h->sent_body},
        {"size_header", h->head_size},
        {"size_request", h->request_size + h->sent_body},
        {"num_redirects", f->t->redirects},
        {"num_retries", f->t->retries},
        {"num_connects", connects(f)},
        {"remote_port", h->port},
        {"speed_download", s > 0 ? (uint64_t)((double)f->t->raw_bytes / s) : 0},
        {"speed_upload", s > 0 ? (uint64_t)((double)h->sent_body / s) : 0},
        {"exitcode", f->t->error ? f->t->error->exit : 0},
    };
    *known = true;
    if (slice_eq(name, S("http_code")) || slice_eq(name, S("response_code")))
        return buf_format(out, "%03u", h->status);
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        if (slice_eq(name, slice_z(v[i].name)))
            return buf_format(out, "%llu", (unsigned long long)v[i].value);
    *known = false;
    return NULL;
}

static err_t json_of(const struct facts *f, struct buf *out)
{
    static const char *const names[] = {"url_effective", "http_code",  "http_version",  "method",
                                        "content_type",  "time_total", "size_download", "num_redirects",
                                        "num_connects",  "remote_ip",  "errormsg",      "filename_effective"};
    struct json j = json_start(out);
    json_open(&j, '{');
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        AUTO(buf_free) struct buf v = {0};
        bool known = false;
        TRY(text_of(f, slice_z(names[i]), &v, &known));
        bool words = known;
        if (!known)
            TRY(time_of(f, slice_z(names[i]), &v, &known));
        if (!known)
            TRY(number_of(f, slice_z(names[i]), &v, &known));
        char z[64] = "";
        json_key(&j, names[i]);
        if (words)
            json_string(&j, buf_slice(&v));
        else if (slice_to_z(buf_slice(&v), z, sizeof z))
            json_real(&j, strtod(z, NULL), slice_has(buf_slice(&v), '.') ? 6 : 0);
    }
    json_close(&j, '}');
    TRY(json_end_line(&j));
    out->n--; /* the line's end is the format's business */
    return NULL;
}

static err_t variable(const struct facts *f, struct slice name, struct buf *out)
{
    bool known;
    if (slice_eq(name, S("json")))
        return json_of(f, out);
    TRY(text_of(f, name, out, &known));
    if (!known)
        TRY(time_of(f, name, out, &known));
    if (!known)
        TRY(number_of(f, name, out, &known));
    return known ? NULL : fault(E_USAGE, "-w: there is no variable '%.*s'", SLICE_ARG(name));
}

static err_t expand(const struct facts *f, struct slice s, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++) {
        char next = i + 1 < s.n ? s.p[i + 1] : 0;
        size_t end;
        if (s.p[i] == '%' && next == '{' && (end = slice_find(s, '}', i)) != SIZE_MAX) {
            TRY(variable(f, slice_of(s.p + i + 2, end - i - 2), out));
            i = end;
        } else if (s.p[i] == '%' && next == '%') {
            TRY(buf_add_char(out, s.p[i++]));
        } else if (s.p[i] == '\\' && next && strchr("nrt\\", next)) {
            TRY(buf_add_char(out, next == 'n' ? '\n' : next == 'r' ? '\r' : next == 't' ? '\t' : '\\'));
            i++;
        } else {
            TRY(buf_add_char(out, s.p[i]));
        }
    }
    return NULL;
}

err_t write_out(const struct transfer *t, const char *format)
{
    struct facts f = {.t = t};
    AUTO(buf_free) struct buf out = {0};
    for (const struct hop *h = t->hops; h; h = h->next) {
        f.start = f.start ? f.start : h->times.start;
        f.end = h->times.done;
        f.last = h;
    }
    TRY(expand(&f, slice_z(format), &out));
    fflush(stdout);
    return write(STDOUT_FILENO, out.p, out.n) == (ssize_t)out.n ? NULL : fault(E_IO, "the standard output");
}
