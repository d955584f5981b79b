/* SPDX-License-Identifier: MIT */
#include "smtp/session.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "net/tls.h"
#include "rt/loop.h"
#include "wire/trace.h"

enum { READ_STEP = 16 * 1024, OUT_MAX = 1 << 20 };

void smtp_session_open(struct smtp_session *s, struct stream *stream, const char *host, int64_t step_ms, int64_t end_ms)
{
    *s = (struct smtp_session){.stream = stream, .host = host, .step_ms = step_ms, .end_ms = end_ms};
    s->in.max = SMTP_REPLY_MAX + READ_STEP;
    s->out.max = OUT_MAX;
}

void smtp_session_close(struct smtp_session *s)
{
    stream_close(s->stream);
    buf_free(&s->in);
    buf_free(&s->out);
    free(s->expected);
    *s = (struct smtp_session){.closing = true};
}

tick smtp_deadline(int64_t ms, tick until)
{
    tick step = after(ms);
    return step < until ? step : until;
}

/* ---- reading ---- */

static err_t read_failed(struct smtp_session *s, err_t e, const char *what)
{
    s->closing = true;
    if (e == E_TIMEOUT)
        return fault(e, "%s: no answer to %s within the time allowed", s->host, what);
    if (e == E_EOF && *s->last_words)
        return fault(e, "%s: after '%s', at %s", s->host, s->last_words, what);
    if (e == E_EOF || e == E_RESET || e == E_TRUNCATED)
        return fault(E_EOF, "%s: at %s", s->host, what);
    return e;
}

err_t smtp_read_reply(struct smtp_session *s, const char *what, struct smtp_reply *r, tick until)
{
    size_t took;
    buf_eat(&s->in, s->in_used);
    s->in_used = 0;
    for (;;) {
        err_t e = smtp_reply_parse(buf_slice(&s->in), r, &took);
        if (e) {
            s->closing = true;
            return e;
        }
        if (took)
            break;
        e = stream_fill(s->stream, &s->in, READ_STEP, until);
        if (e)
            return read_failed(s, e, what);
    }
    s->in_used = took;
    if (r->code == 421) { /* RFC 5321 section 3.8: to any command, and the connection closes */
        s->closing = true;
        smtp_reply_text(r, s->last_words, sizeof s->last_words);
    }
    return NULL;
}

err_t smtp_refusal(const struct smtp_session *s, const char *what, const struct smtp_reply *r)
{
    char text[200];
    smtp_reply_text(r, text, sizeof text);
    return fault(r->code < 500 ? E_DEFERRED : E_REJECTED, "%s: %s answered '%s'", s->host, what, text);
}

/* ---- writing ---- */

err_t smtp_flush(struct smtp_session *s, tick until)
{
    if (s->out.n == 0)
        return NULL;
    err_t e = stream_write(s->stream, buf_slice(&s->out), smtp_deadline(s->step_ms, until));
    s->out.n = 0;
    if (e == E_TIMEOUT)
        return fault(e, "%s: the server takes nothing", s->host);
    /* A broken pipe is noticed while reading, together with what the server may have said before. */
    return e == E_RESET ? NULL : e;
}

err_t smtp_exchange(struct smtp_session *s, const char *what, struct smtp_reply *r, tick until)
{
    CHECK(s->expected_n == s->expected_at);
    TRY(smtp_flush(s, until));
    return smtp_read_reply(s, what, r, smtp_deadline(s->step_ms, until));
}

/* ---- the steps before mail ---- */

static void keep_line(const struct smtp_reply *r, char *out, size_t cap)
{
    struct slice rest = r->raw, line;
    if (smtp_reply_line(&rest, &line))
        text_safe(line, out, cap);
}

err_t smtp_greeting(struct smtp_session *s, tick until)
{
    struct smtp_reply r;
    TRY(smtp_read_reply(s, "the connection", &r, smtp_deadline(s->step_ms, until)));
    keep_line(&r, s->greeting, sizeof s->greeting);
    if (r.code != 220)
        return smtp_refusal(s, "the greeting", &r);
    return NULL;
}

err_t smtp_hello(struct smtp_session *s, const char *name, tick until)
{
    struct smtp_reply r;
    TRY(smtp_format_hello(&s->out, "EHLO", slice_z(name)));
    TRY(smtp_exchange(s, "EHLO", &r, until));
    if (r.code == 250) {
        smtp_caps_parse(&r, &s->caps);
        keep_line(&r, s->hello, sizeof s->hello);
        return NULL;
    }
    if (r.code / 100 != 5 || s->closing)
        return smtp_refusal(s, "EHLO", &r);
    /* RFC 5321 section 3.2: fall back to HELO, and to plain SMTP with it. */
    TRY(smtp_format_hello(&s->out, "HELO", slice_z(name)));
    TRY(smtp_exchange(s, "HELO", &r, until));
    if (r.code != 250)
        return smtp_refusal(s, "HELO", &r);
    s->caps = (struct smtp_caps){0};
    keep_line(&r, s->hello, sizeof s->hello);
    return NULL;
}

static err_t starttls_refused(const struct smtp_session *s, const struct smtp_reply *r)
{
    char text[200];
    smtp_reply_text(r, text, sizeof text);
    /* 454: TLS not available due to temporary reason (RFC 3207 section 4). */
    return fault(r->code < 500 ? E_DEFERRED : E_INSECURE, "%s: STARTTLS answered '%s'", s->host, text);
}

err_t smtp_starttls(struct smtp_session *s, struct tls *tls, tick until)
{
    struct smtp_reply r;
    TRY(buf_add(&s->out, S("STARTTLS\r\n")));
    TRY(smtp_exchange(s, "STARTTLS", &r, until));
    if (r.code != 220)
        return starttls_refused(s, &r);
    buf_eat(&s->in, s->in_used);
    s->in_used = 0;
    s->caps = (struct smtp_caps){0};
    if (s->in.n) { /* it would be taken for an answer that came under TLS */
        s->closing = true;
        return fault(E_PROTO,
                     "%s: the server, or somebody between, sent %zu bytes in the clear before the TLS handshake",
                     s->host, s->in.n);
    }
    struct trace *trace;
    struct stream *below = trace_lift(s->stream, &trace), *secure = NULL;
    s->closing = true; /* until the handshake is through */
    err_t e = stream_tls_client(below, tls, slice_z(s->host), &secure, smtp_deadline(s->step_ms, until));
    s->stream = trace_lower(trace, e ? NULL : secure);
    TRY(e);
    s->closing = false;
    s->secure = true;
    return NULL;
}

void smtp_quit(struct smtp_session *s, tick until)
{
    struct smtp_reply r;
    if (s->closing || !s->stream || s->expected_n != s->expected_at || buf_add(&s->out, S("QUIT\r\n")))
        return;
    s->closing = true;
    err_t e = smtp_exchange(s, "QUIT", &r, smtp_deadline(5000, until));
    if (!e)
        e = stream_finish(s->stream, smtp_deadline(1000, until));
    if (e)
        fault_clear();
}
