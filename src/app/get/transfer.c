/* SPDX-License-Identifier: MIT */
/*
 * transfer.c -- one URL, from the first request to the last byte: hops (redirects) inside of attempts (retries).
 */
#include <stdio.h>
#include <stdlib.h>

#include "app/get/decode.h"
#include "app/get/get_impl.h"
#include "app/get/rules.h"
#include "app/get/segments.h"
#include "http/fields.h"
#include "http/status.h"
#include "http/uri.h"
#include "rt/loop.h"

enum { DRAIN_MAX = 64 << 10 }; /* of a redirect's body, so that its connection can be used again */

/* Whichever comes first: the transfer's own deadline, or too long a silence. */
static tick patience(const struct transfer *t)
{
    int64_t idle = t->run->conf->timeout;
    tick by = idle ? clock_now() + idle : TICK_NEVER;
    return by < t->deadline ? by : t->deadline;
}

static err_t too_slow(const struct transfer *t, err_t e)
{
    if (e != E_TIMEOUT)
        return e;
    if (*fault_detail()) {
        char during[80];
        snprintf(during, sizeof during, "%s", fault_detail());
        return clock_now() >= t->deadline ? fault(e, "%s, until --max-time", during) : e;
    }
    if (clock_now() >= t->deadline)
        return fault(e, "--max-time passed with %llu bytes of body", (unsigned long long)t->body_bytes);
    return fault(e, "nothing came for the time of --timeout");
}

/* ---- Body ---- */

/* Hold the average at --limit-rate. */
static err_t throttle(struct transfer *t, tick began)
{
    uint64_t rate = t->run->conf->rate;
    if (!rate)
        return NULL;
    tick due = began + (tick)((double)t->raw_bytes / (double)rate * 1e9);
    if (due <= clock_now())
        return NULL;
    return fiber_sleep(due < t->deadline ? due : t->deadline);
}

/* What comes out of the content codings. */
static err_t sink(void *arg, struct slice s)
{
    struct transfer *t = arg;
    uint64_t max = t->run->conf->size_max;
    t->body_bytes += s.n;
    if (max && t->body_bytes > max)
        return fault(E_TOO_LARGE, "the body is larger than --max-filesize (%llu bytes)", (unsigned long long)max);
    if (t->digest)
        digest_add(t->digest, s);
    return output_write(&t->output, s);
}

static err_t read_loop(struct transfer *t, struct decode *d, char *buffer)
{
    tick began = clock_now();
    size_t got;
    size_t cap =
        t->run->conf->rate && t->run->conf->rate / 8 < BODY_BUFFER ? (size_t)t->run->conf->rate / 8 + 1 : BODY_BUFFER;
    for (;;) {
        TRY(too_slow(t, call_read(&t->call, buffer, cap, &got, patience(t))));
        if (got == 0)
            return decode_end(d);
        t->raw_bytes += got;
        t->run->bytes += got;
        TRY(decode_bytes(d, slice_of(buffer, got)));
        TRY(throttle(t, began));
    }
}

static err_t body(struct transfer *t)
{
    struct decode d = {.sink = sink, .arg = t};
    char *buffer = t->run->buffer_spare ? t->run->buffer_spare : malloc(BODY_BUFFER);
    t->run->buffer_spare = NULL;
    t->raw_bytes = t->body_bytes = 0;
    err_t e = buffer ? NULL : E_NO_MEMORY;
    if (!e && t->run->conf->compressed)
        e = decode_start(&d, &t->call.response.fields);
    if (!e)
        e = read_loop(t, &d, buffer);
    decode_free(&d);
    if (t->run->buffer_spare)
        free(buffer);
    else
        t->run->buffer_spare = buffer;
    return e;
}

/* ---- The response that counts ---- */

static err_t show_head(struct transfer *t)
{
    const struct get_conf *c = t->run->conf;
    if (c->include || c->head_only || c->textbook)
        return output_write(&t->output, t->head);
    return NULL;
}

static err_t check_size(const struct transfer *t)
{
    uint64_t max = t->run->conf->size_max, n = t->call.length;
    if (max && n != CLIENT_UNKNOWN && n > max && !slice_eq(t->method, S("HEAD")))
        return fault(E_TOO_LARGE, "the body has %llu bytes, --max-filesize allows %llu", (unsigned long long)n,
                     (unsigned long long)max);
    return NULL;
}

static err_t refused(const struct transfer *t)
{
    struct slice reason = t->call.response.reason;
    if (reason.n == 0) /* HTTP/2 has none */
        reason = status_phrase(t->status);
    return fault(E_STATUS, reason.n ? "%u %.*s" : "%u", t->status, SLICE_ARG(reason));
}

static err_t deliver(struct transfer *t)
{
    const struct get_conf *c = t->run->conf;
    const struct http_response *r = &t->call.response;
    bool bad = r->status >= 400;
    if (t->resuming && r->status == 416)
        return output_is_whole(t, r);
    if (bad && c->fail)
        return refused(t);
    TRY(check_size(t));
    TRY(output_open(t, &t->call));
    TRY(checksum_begin(t));
    t->run->bytes_expected += t->call.length == CLIENT_UNKNOWN ? 0 : t->call.length;
    TRY(show_head(t));
    if (segments_wanted(t)) {
        TRY(segments_fetch(t));
        TRY(checksum_file(t));
    } else {
        TRY(body(t));
    }
    TRY(checksum_check(t));
    TRY(output_commit(t, r));
    return bad && c->fail_with_body ? refused(t) : NULL;
}

/* ---- Redirects ---- */

static bool wants_redirect(const struct transfer *t)
{
    const struct http_response *r = &t->call.response;
    return t->run->conf->follow && rules_redirects(r->status) && fields_has(&r->fields, F_LOCATION);
}

/* A short body is read to its end, so that the connection can be used again. */
static void drain(struct transfer *t)
{
    char piece[2048];
    size_t got = 1;
    for (uint64_t n = 0; n < DRAIN_MAX && got; n += got)
        if (call_read(&t->call, piece, sizeof piece, &got, patience(t)))
            return;
}

static err_t redirect(struct transfer *t)
{
    const struct http_response *r = &t->call.response;
    struct slice location = arena_copy(&t->arena, fields_get(&r->fields, F_LOCATION));
    struct uri next;
    if (!location.p)
        return E_NO_MEMORY;
    if (t->redirects >= (unsigned)t->run->conf->redirects_max)
        return fault(E_LIMIT, "more than %lld redirects (--max-redirs)", (long long)t->run->conf->redirects_max);
    if (request_redirect(t, location, &next))
        return fault(E_PROTO, "redirect to '%.*s'", SLICE_ARG(location));
    if (!slice_eq(next.scheme, S("http")) && !slice_eq(next.scheme, S("https")))
        return fault(E_FORBIDDEN, "redirect to '%.*s': only http and https are followed", SLICE_ARG(location));
    if (!t->run->conf->method && rules_becomes_get(r->status, t->method)) {
        t->method = S("GET");
        t->drop_body = true;
    }
    t->redirects++;
    t->url = next;
    if (t->url.path.n == 0)
        t->url.path = S("/");
    drain(t);
    return NULL;
}

/* ---- One request ---- */

static err_t keep_cookies(struct transfer *t)
{
    struct run *r = t->run;
    if (!r->jar_used)
        return NULL;
    struct cookie_origin from = {t->url.host, t->url.path, slice_eq(t->url.scheme, S("https"))};
    struct slice line;
    for (uint16_t at = 0; fields_line(&t->call.response.fields, F_SET_COOKIE, &at, &line);) {
        err_t e = cookie_jar_set(&r->jar, &from, line, wall_now() / TICK_S);
        if (e == E_NO_MEMORY)
            return e;
        if (e && r->conf->verbose)
            say(r, "cookie refused: %s", fault_detail());
    }
    fault_clear();
    return NULL;
}

static err_t answered(struct transfer *t, bool *more)
{
    t->status = t->call.response.status;
    TRY(hop_head(t));
    TRY(keep_cookies(t));
    if (!wants_redirect(t)) {
        *more = false;
        return deliver(t);
    }
    if (t->run->conf->include || t->run->conf->head_only) {
        TRY(output_open(t, &t->call));
        TRY(output_write(&t->output, t->head));
    }
    return redirect(t);
}

static err_t hop(struct transfer *t, bool *more)
{
    struct arena arena = {0};
    struct request_parts parts;
    err_t e = request_make(t, &arena, &parts);
    if (!e) {
        hop_start(t, &parts.request);
        e = too_slow(t, client_open(&t->run->client, &parts.request, &t->call, patience(t)));
        if (!e)
            e = answered(t, more);
        hop_end(t, e);
        call_close(&t->call);
    }
    arena_reset(&arena);
    return e;
}

static err_t attempt(struct transfer *t)
{
    err_t e = NULL;
    for (bool more = true; more && !e;)
        e = hop(t, &more);
    return e;
}

/* ---- Retries ---- */

/* E_STATUS with a passing status, or a failure of the network. What the user asked for wrongly stays wrong. */
static bool worth_retrying(const struct transfer *t, err_t e)
{
    if (e->kind == ERR_CANCELED || e->kind == ERR_USAGE || clock_now() >= t->deadline)
        return false;
    if (t->run->conf->retry_all)
        return true;
    return e == E_STATUS ? rules_transient(t->status) : e->retry && (e->kind != ERR_LOCAL && e->kind != ERR_LIMIT);
}

static int64_t delay_before(const struct transfer *t)
{
    int64_t wait = t->run->conf->retry_delay ? t->run->conf->retry_delay : rules_backoff(t->retries);
    return t->retry_after > wait ? t->retry_after : wait;
}

/* Back to the first URL, and on from the bytes that are safely in the file. */
static void start_over(struct transfer *t)
{
    struct output *o = &t->output;
    t->url = t->first_url;
    t->method = SLICE_NONE;
    t->drop_body = false;
    t->redirects = 0;
    bool plain = !t->run->conf->compressed && !t->run->conf->include && !o->is_stdout;
    t->resuming = plain && o->fd >= 0 && o->at > 0 && o->validator.n > 0;
    t->start = t->resuming ? o->at : 0;
}

err_t transfer_run(struct transfer *t)
{
    const struct get_conf *c = t->run->conf;
    tick began = clock_now();
    err_t e;
    t->deadline = c->max_time ? began + c->max_time : TICK_NEVER;
    TRY(output_name(t, NULL));
    TRY(output_resume_point(t));
    if (t->output.done_already)
        return NULL;
    for (t->retries = 0;; start_over(t)) {
        e = attempt(t);
        if (!e || t->retries >= (unsigned)c->retries || !worth_retrying(t, e))
            break;
        if (t->output.is_stdout && t->body_bytes)
            break; /* what is printed cannot be taken back */
        t->retries++;
        int64_t wait = delay_before(t);
        if (c->retry_time && clock_now() + wait > began + c->retry_time)
            break;
        char text[400];
        say(t->run, "%s; trying again in %.3g s", fault_text(e, text, sizeof text), (double)wait / 1e9);
        TRY(fiber_sleep(clock_now() + wait));
    }
    output_abandon(&t->output);
    return e;
}

/* ---- --offline ---- */

err_t transfer_offline(struct transfer *t)
{
    struct arena arena = {0};
    struct request_parts parts;
    AUTO(buf_free) struct buf head = {0};
    err_t e = request_make(t, &arena, &parts);
    t->output.is_stdout = true;
    t->output.fd = 1;
    if (!e)
        e = client_request_head(&parts.request, &head);
    if (!e)
        e = output_write(&t->output, buf_slice(&head));
    if (!e && parts.request.body.present && !parts.request.body.read)
        e = output_write(&t->output, parts.request.body.bytes);
    char piece[4096 - 512];
    for (size_t got = 1; !e && parts.request.body.read && got;) {
        e = parts.request.body.read(parts.request.body.arg, piece, sizeof piece, &got, TICK_NEVER);
        if (!e && got)
            e = output_write(&t->output, slice_of(piece, got));
    }
    arena_reset(&arena);
    return e;
}
