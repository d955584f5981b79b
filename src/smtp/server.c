/* SPDX-License-Identifier: MIT */
#include "smtp/server.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "net/tls.h"
#include "rt/loop.h"

enum { OUT_FLUSH = 16 * 1024, OUT_MAX = 64 * 1024, IN_FIRST = 4096 };

/* ---- reading and writing ---- */

err_t smtp_server_flush(struct smtp_server *s)
{
    if (s->out.n == 0)
        return NULL;
    err_t e = stream_write(s->stream, buf_slice(&s->out), after(s->conf->idle_ms));
    s->out.n = 0;
    return e;
}

err_t smtp_server_reply(struct smtp_server *s, const char *fmt, ...)
{
    char line[600];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line - 2, fmt, ap);
    va_end(ap);
    CHECK(n > 0);
    size_t len = (size_t)n < sizeof line - 2 ? (size_t)n : sizeof line - 3;
    if (line[0] == '5')
        s->errors++;
    memcpy(line + len, "\r\n", 2);
    TRY(buf_add(&s->out, slice_of(line, len + 2)));
    return s->out.n > OUT_FLUSH ? smtp_server_flush(s) : NULL;
}

err_t smtp_server_more(struct smtp_server *s, size_t most)
{
    TRY(smtp_server_flush(s));
    buf_eat(&s->in, s->at);
    s->at = 0;
    return stream_fill(s->stream, &s->in, most, after(s->conf->idle_ms));
}

/* Pass over the rest of a line that is too long. */
static err_t skip_line(struct smtp_server *s)
{
    for (;;) {
        struct slice unread = smtp_server_unread(s);
        size_t lf = slice_find(unread, '\n', 0);
        s->at += lf == SIZE_MAX ? unread.n : lf + 1;
        if (lf != SIZE_MAX)
            return NULL;
        TRY(smtp_server_more(s, IN_FIRST));
    }
}

err_t smtp_server_line(struct smtp_server *s, struct slice *line, const char **no)
{
    size_t from = 0, lf;
    while ((lf = slice_find(smtp_server_unread(s), '\n', from)) == SIZE_MAX) {
        from = s->in.n - s->at;
        if (from > SMTP_SERVER_LINE) {
            *no = "500 5.5.2 The line is too long";
            return skip_line(s);
        }
        TRY(smtp_server_more(s, IN_FIRST));
    }
    *line = slice_first(smtp_server_unread(s), lf);
    s->at += lf + 1;
    *no = NULL;
    if (line->n && line->p[line->n - 1] == '\r')
        line->n--;
    else if (!s->conf->lenient)
        *no = "500 5.5.2 A line ends in CR LF, not in LF alone";
    return NULL;
}

/* ---- hello and TLS ---- */

static bool offers(const struct smtp_server *s, unsigned bit)
{
    return !(s->conf->hide & bit);
}

static err_t ehlo_lines(struct smtp_server *s)
{
    static const struct {
        unsigned hide;
        const char *line;
    } plain[] = {{SMTP_HIDE_PIPELINING, "250-PIPELINING"},
                 {SMTP_HIDE_8BITMIME, "250-8BITMIME"},
                 {SMTP_HIDE_SMTPUTF8, "250-SMTPUTF8"},
                 {SMTP_HIDE_CHUNKING, "250-CHUNKING"},
                 {SMTP_HIDE_DSN, "250-DSN"}};
    char words[256];
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (offers(s, plain[i].hide))
            TRY(smtp_server_reply(s, "%s", plain[i].line));
    if (offers(s, SMTP_HIDE_SIZE))
        TRY(smtp_server_reply(s, "250-SIZE %llu", (unsigned long long)s->conf->max_size));
    if (s->conf->tls && !s->secure && offers(s, SMTP_HIDE_STARTTLS))
        TRY(smtp_server_reply(s, "250-STARTTLS"));
    const char *mechanisms = smtp_server_mechanisms(s, words, sizeof words);
    if (*mechanisms)
        TRY(smtp_server_reply(s, "250-AUTH%s", mechanisms));
    return smtp_server_reply(s, "250 ENHANCEDSTATUSCODES");
}

static err_t hello(struct smtp_server *s, const struct smtp_request *r)
{
    if (r->verb == SMTP_EHLO && !offers(s, SMTP_HIDE_EHLO))
        return smtp_server_reply(s, "502 5.5.1 Command not implemented");
    smtp_server_reset(s);
    s->greeted = true;
    s->esmtp = r->verb == SMTP_EHLO;
    snprintf(s->hello, sizeof s->hello, "%.*s", SLICE_ARG(r->arg));
    TRY(smtp_server_reply(s, "250%c%s greets %s", s->esmtp ? '-' : ' ', s->conf->name, s->hello));
    return s->esmtp ? ehlo_lines(s) : NULL;
}

static err_t starttls(struct smtp_server *s)
{
    if (!s->conf->tls || !offers(s, SMTP_HIDE_STARTTLS))
        return smtp_server_reply(s, "502 5.5.1 STARTTLS is not offered");
    if (s->secure)
        return smtp_server_reply(s, "503 5.5.1 TLS is on already");
    if (smtp_server_unread(s).n) { /* RFC 3207 section 6: it would be taken for what came under TLS */
        s->leaving = true;
        return smtp_server_reply(s, "501 5.5.1 STARTTLS must be the last command of a group");
    }
    TRY(smtp_server_reply(s, "220 2.0.0 Ready to start TLS"));
    TRY(smtp_server_flush(s));
    struct stream *below = s->stream;
    s->stream = NULL;
    TRY(stream_tls_server(below, s->conf->tls, &s->stream, after(s->conf->idle_ms)));
    s->secure = true;
    s->greeted = false;
    smtp_server_reset(s);
    return NULL;
}

/* ---- dispatch ---- */

static enum smtp_step step_of(enum smtp_verb v)
{
    static const enum smtp_step steps[SMTP_VERBS] = {
        [SMTP_EHLO] = STEP_EHLO, [SMTP_HELO] = STEP_HELO, [SMTP_STARTTLS] = STEP_STARTTLS, [SMTP_AUTH] = STEP_AUTH,
        [SMTP_MAIL] = STEP_MAIL, [SMTP_RCPT] = STEP_RCPT, [SMTP_DATA] = STEP_DATA,         [SMTP_BDAT] = STEP_BDAT,
        [SMTP_RSET] = STEP_RSET, [SMTP_NOOP] = STEP_NOOP, [SMTP_QUIT] = STEP_QUIT,         [SMTP_VRFY] = STEPS,
        [SMTP_EXPN] = STEPS,     [SMTP_HELP] = STEPS};
    return steps[v];
}

static err_t quit(struct smtp_server *s)
{
    s->leaving = true;
    return smtp_server_reply(s, "221 2.0.0 %s closes the connection", s->conf->name);
}

static err_t obey(struct smtp_server *s, const struct smtp_request *r)
{
    switch (r->verb) {
    case SMTP_EHLO:
    case SMTP_HELO:
        return hello(s, r);
    case SMTP_STARTTLS:
        return starttls(s);
    case SMTP_AUTH:
        return smtp_server_auth(s, r);
    case SMTP_MAIL:
        return smtp_server_mail(s, r);
    case SMTP_RCPT:
        return smtp_server_rcpt(s, r);
    case SMTP_DATA:
        return smtp_server_data(s);
    case SMTP_BDAT:
        return smtp_server_bdat(s, r);
    case SMTP_RSET:
        smtp_server_reset(s);
        return smtp_server_reply(s, "250 2.0.0 Ok");
    case SMTP_NOOP:
        return smtp_server_reply(s, "250 2.0.0 Ok");
    case SMTP_QUIT:
        return quit(s);
    case SMTP_VRFY:
        return smtp_server_reply(s, "252 2.1.5 Send it and see");
    case SMTP_HELP:
        return smtp_server_reply(s, "214 2.0.0 RFC 5321 explains all");
    case SMTP_EXPN:
        return smtp_server_reply(s, "502 5.5.1 Command not implemented");
    case SMTP_VERBS:
        break;
    }
    UNREACHABLE();
}

static err_t one_command(struct smtp_server *s)
{
    struct slice line;
    struct smtp_request r;
    const char *no;
    bool played = false;
    TRY(smtp_server_line(s, &line, &no));
    if (!no)
        no = smtp_request_parse(line, &r);
    if (no)
        return smtp_server_reply(s, "%s", no);
    if (s->conf->fault_count && step_of(r.verb) != STEPS)
        TRY(smtp_server_fault(s, step_of(r.verb), line, &played));
    return played ? NULL : obey(s, &r);
}

static err_t dialogue(struct smtp_server *s)
{
    bool played = false;
    if (s->conf->fault_count)
        TRY(smtp_server_fault(s, STEP_CONNECT, SLICE_NONE, &played));
    if (!played)
        TRY(smtp_server_reply(s, "220 %s ESMTP l7 sink", s->conf->name));
    while (!s->leaving) {
        TRY(one_command(s));
        if (s->errors > SMTP_ERRORS_MAX) {
            TRY(smtp_server_reply(s, "421 4.7.0 %s too many errors", s->conf->name));
            break;
        }
    }
    TRY(smtp_server_flush(s));
    return stream_finish(s->stream, after(1000));
}

void smtp_serve(const struct smtp_server_conf *conf, struct stream *stream, const char *peer, bool tls_first)
{
    struct smtp_server s = {.conf = conf, .stream = stream, .peer = peer, .secure = tls_first};
    s.out.max = OUT_MAX;
    err_t e = dialogue(&s);
    if (e == E_TIMEOUT && s.stream && !smtp_server_reply(&s, "421 4.4.2 %s waited too long", conf->name))
        e = smtp_server_flush(&s);
    smtp_server_reset(&s);
    stream_close(s.stream);
    arena_reset(&s.arena);
    buf_free(&s.in);
    buf_free(&s.out);
}
