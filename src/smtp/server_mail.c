/* SPDX-License-Identifier: MIT */
/* server_mail.c -- MAIL, RCPT, DATA, BDAT: the transaction of a server. */
#include <stdio.h>

#include "base/check.h"
#include "rt/loop.h"
#include "smtp/address.h"
#include "smtp/server.h"

void smtp_server_reset(struct smtp_server *s)
{
    if (s->delivery && s->conf->hooks.discard)
        s->conf->hooks.discard(s->delivery);
    s->delivery = NULL;
    s->env = (struct smtp_envelope){0};
    s->in_mail = s->bdat = false;
    s->size = s->line = 0;
    s->damage = NULL;
    s->at_start = true, s->last_cr = false;
    arena_reset(&s->arena);
}

/* ---- envelope ---- */

/* A parameter of an extension that was not offered is no parameter at all. */
static const char *hidden_param(const struct smtp_server *s, const struct smtp_request *r)
{
    unsigned hide = s->conf->hide;
    bool hidden = (r->smtputf8 && hide & SMTP_HIDE_SMTPUTF8) || (r->size && hide & SMTP_HIDE_SIZE) ||
                  (r->body && hide & SMTP_HIDE_8BITMIME) ||
                  ((r->ret || r->envid.n || r->notify || r->orcpt.n) && hide & SMTP_HIDE_DSN);
    if (hidden || (r->extended && !s->esmtp))
        return "555 5.5.4 That parameter was not offered";
    return NULL;
}

static const char *mail_refused(const struct smtp_server *s, const struct smtp_request *r)
{
    const struct smtp_server_conf *c = s->conf;
    if (!s->greeted)
        return "503 5.5.1 Say EHLO first";
    if (s->in_mail)
        return "503 5.5.1 One MAIL at a time; RSET ends it";
    if (c->require_tls && !s->secure)
        return "530 5.7.0 Say STARTTLS first";
    if (c->require_auth && !*s->user)
        return "530 5.7.0 Authentication required";
    if (c->max_size && r->size > c->max_size)
        return "552 5.3.4 Larger than the limit";
    if (!smtp_is_ascii(r->arg) && !r->smtputf8)
        return "553 5.6.7 An address beyond ASCII needs SMTPUTF8";
    return hidden_param(s, r);
}

err_t smtp_server_mail(struct smtp_server *s, const struct smtp_request *r)
{
    const char *no = mail_refused(s, r);
    if (no)
        return smtp_server_reply(s, "%s", no);
    smtp_server_reset(s);
    s->in_mail = true;
    s->env.from = arena_copy(&s->arena, r->arg);
    s->env.mail = *r;
    s->env.mail.envid = arena_copy(&s->arena, r->envid);
    return s->env.from.p ? smtp_server_reply(s, "250 2.1.0 Ok") : E_NO_MEMORY;
}

static const char *rcpt_refused(const struct smtp_server *s, const struct smtp_request *r)
{
    if (!s->in_mail)
        return "503 5.5.1 Say MAIL first";
    if (s->bdat)
        return "503 5.5.1 The message has begun already";
    if (!smtp_is_ascii(r->arg) && !s->env.mail.smtputf8)
        return "553 5.6.7 An address beyond ASCII needs SMTPUTF8";
    if (s->env.count >= s->conf->max_rcpts)
        return "452 4.5.3 Too many recipients";
    return hidden_param(s, r);
}

err_t smtp_server_rcpt(struct smtp_server *s, const struct smtp_request *r)
{
    const char *no = rcpt_refused(s, r);
    struct smtp_envelope *e = &s->env;
    if (no)
        return smtp_server_reply(s, "%s", no);
    if (e->count == e->cap) {
        size_t cap = e->cap ? e->cap * 2 : 4;
        struct slice *v = ARENA_ARRAY(&s->arena, struct slice, cap);
        if (!v)
            return smtp_server_reply(s, "452 4.3.1 No room for more recipients");
        if (e->count)
            memcpy(v, e->rcpts, e->count * sizeof *v);
        e->rcpts = v, e->cap = cap;
    }
    struct slice copy = arena_copy(&s->arena, r->arg);
    if (!copy.p)
        return smtp_server_reply(s, "452 4.3.1 No room for more recipients");
    e->rcpts[e->count++] = copy;
    return smtp_server_reply(s, "250 2.1.5 Ok");
}

/* ---- the end of a message ---- */

static err_t begin_delivery(struct smtp_server *s)
{
    const struct smtp_hooks *h = &s->conf->hooks;
    s->at_start = true, s->last_cr = false;
    s->size = s->line = 0;
    if (h->begin && h->begin(h->arg, s, &s->delivery))
        s->damage = "451 4.3.0 The message cannot be kept";
    fault_clear();
    return NULL;
}

static err_t end_message(struct smtp_server *s)
{
    const struct smtp_hooks *h = &s->conf->hooks;
    char id[64] = "";
    bool played = false;
    if (s->conf->fault_count)
        TRY(smtp_server_fault(s, STEP_END, SLICE_NONE, &played));
    if (!played && !s->damage && h->commit) {
        if (h->commit(s->delivery, id, after(s->conf->idle_ms)))
            s->damage = "451 4.3.0 The message cannot be kept";
        else
            s->delivery = NULL;
    }
    if (!played && s->damage)
        TRY(smtp_server_reply(s, "%s", s->damage));
    else if (!played) {
        if (h->done)
            h->done(h->arg, s, s->size, id);
        TRY(*id ? smtp_server_reply(s, "250 2.0.0 Ok: kept as %s", id) : smtp_server_reply(s, "250 2.0.0 Ok"));
    }
    smtp_server_reset(s);
    return NULL;
}

/* ---- DATA ---- */

/* A line, or the start of one, that begins with a dot: it is the end, or the dot was stuffed. */
static err_t dotted_line(struct smtp_server *s, struct slice part, bool *end)
{
    *end = slice_eq(part, S(".\r\n"));
    return *end ? NULL : smtp_server_text(s, slice_from(part, 1));
}

struct data_state {  /* carried from one piece read to the next */
    bool line_start; /* the next byte begins a line */
    bool after_cr;   /* the last byte was a CR */
    bool end;        /* the final dot has been seen */
};

/* Of what has been read, everything up to the last point that needs no look ahead. */
static err_t data_some(struct smtp_server *s, struct data_state *d)
{
    struct slice in = smtp_server_unread(s), run = slice_first(in, 0);
    size_t at = 0;
    while (at < in.n && !d->end) {
        size_t lf = slice_find(in, '\n', at);
        size_t next = lf == SIZE_MAX ? in.n : lf + 1;
        bool dotted = d->line_start && in.p[at] == '.';
        if (lf == SIZE_MAX && dotted && in.n - at < 3)
            break; /* could be the final dot */
        if (dotted) {
            if (run.n)
                TRY(smtp_server_text(s, run));
            TRY(dotted_line(s, slice_of(in.p + at, next - at), &d->end));
            run = slice_of(in.p + next, 0);
        } else {
            run.n += next - at;
        }
        d->line_start = lf != SIZE_MAX && (lf > at ? in.p[lf - 1] == '\r' : d->after_cr);
        d->after_cr = in.p[next - 1] == '\r';
        at = next;
    }
    if (run.n)
        TRY(smtp_server_text(s, run));
    s->at += at;
    return NULL;
}

err_t smtp_server_data(struct smtp_server *s)
{
    if (!s->in_mail || s->env.count == 0)
        return smtp_server_reply(s, s->in_mail ? "554 5.5.1 No valid recipients" : "503 5.5.1 Say MAIL first");
    if (s->bdat)
        return smtp_server_reply(s, "503 5.5.1 DATA and BDAT do not mix");
    TRY(begin_delivery(s));
    TRY(smtp_server_reply(s, "354 End with CR LF . CR LF"));
    struct data_state d = {.line_start = true};
    while (!d.end) {
        if (smtp_server_unread(s).n)
            TRY(data_some(s, &d));
        if (!d.end)
            TRY(smtp_server_more(s, SMTP_SERVER_READ));
    }
    return end_message(s);
}

/* ---- BDAT ---- */

static err_t swallow(struct smtp_server *s, uint64_t n, bool use)
{
    while (n) {
        if (smtp_server_unread(s).n == 0)
            TRY(smtp_server_more(s, SMTP_SERVER_READ));
        struct slice part = slice_first(smtp_server_unread(s), n);
        if (use)
            TRY(smtp_server_text(s, part));
        s->at += part.n;
        n -= part.n;
    }
    return NULL;
}

err_t smtp_server_bdat(struct smtp_server *s, const struct smtp_request *r)
{
    const char *no = s->conf->hide & SMTP_HIDE_CHUNKING ? "502 5.5.1 CHUNKING is not offered"
                     : !s->in_mail                      ? "503 5.5.1 Say MAIL first"
                     : s->env.count == 0                ? "554 5.5.1 No valid recipients"
                                                        : NULL;
    if (no) { /* RFC 3030 section 2: the bytes come all the same */
        TRY(swallow(s, r->size, false));
        return smtp_server_reply(s, "%s", no);
    }
    if (!s->bdat) {
        s->bdat = true;
        TRY(begin_delivery(s));
    }
    TRY(swallow(s, r->size, !s->damage));
    if (r->last)
        return end_message(s);
    if (s->damage)
        return smtp_server_reply(s, "%s", s->damage);
    return smtp_server_reply(s, "250 2.0.0 %llu bytes", (unsigned long long)r->size);
}
