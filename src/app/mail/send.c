/* SPDX-License-Identifier: MIT */
#include "app/mail/send.h"

#include <stdio.h>

#include "base/check.h"

struct sending {
    struct mail_link *link;
    const struct mail_source *source;
    struct mail_draft *draft[MAIL_WINDOW]; /* on their way, oldest first */
    size_t n;
    bool ended; /* the source has no more */
    tick until;
};

static struct smtp_session *session(struct sending *s)
{
    return &s->link->session;
}

/* ---- outcomes ---- */

static bool good(const struct smtp_answer *a)
{
    return a->code / 100 == 2;
}

/* The answer that decided about a recipient; NULL when none came. */
static const struct smtp_answer *deciding(const struct smtp_transaction *t, size_t i)
{
    const struct smtp_answer *own = &t->rcpts[i].answer;
    if (t->from.code && !good(&t->from))
        return &t->from;
    if (own->code && !good(own))
        return own;
    if (t->data.code && t->data.code != 354)
        return &t->data;
    return t->end.code ? &t->end : NULL;
}

enum mail_fate mail_fate_of(const struct mail_draft *d, size_t i, const struct mail_result *r, const char **words)
{
    const struct smtp_answer *a = d->transaction.rcpts ? deciding(&d->transaction, i) : NULL;
    if (!a) {
        *words = r->words ? r->words : "";
        return r->err && r->err->retry ? MAIL_DEFERRED : MAIL_REFUSED;
    }
    *words = a->text ? a->text : "";
    return good(a) ? MAIL_ACCEPTED : a->code < 500 ? MAIL_DEFERRED : MAIL_REFUSED;
}

/* `e` NULL: the dialogue about it was complete. */
static void report(struct sending *s, struct mail_draft *d, err_t e, const char *why)
{
    char full[400] = "";
    struct mail_result r = {.err = e, .why = why, .words = full};
    if (e)
        snprintf(full, sizeof full, "%s%s%s", why ? why : "", why && *why ? ": " : "", e->text);
    size_t count[3] = {0};
    const char *words;
    for (size_t i = 0; i < d->transaction.rcpt_count && d->transaction.rcpts; i++)
        count[mail_fate_of(d, i, &r, &words)]++;
    if (count[MAIL_ACCEPTED]) {
        r.reply = d->transaction.end.text;
        r.err = count[MAIL_REFUSED] + count[MAIL_DEFERRED] ? E_PARTLY : NULL;
        r.why = r.err ? "not everybody was accepted" : NULL;
    } else if (!e) {
        (void)mail_fate_of(d, 0, &r, &r.why);
        r.err = count[MAIL_REFUSED] ? E_REJECTED : E_DEFERRED;
    }
    s->source->done(s->source->arg, d, &r);
}

static void report_fault(struct sending *s, struct mail_draft *d, err_t e)
{
    char why[256];
    snprintf(why, sizeof why, "%s", fault_detail());
    report(s, d, e, why);
}

/* ---- the window ---- */

static void drop_first(struct sending *s)
{
    memmove(&s->draft[0], &s->draft[1], (s->n - 1) * sizeof s->draft[0]);
    s->n--;
}

/* The connection is gone: what was begun is lost, what was not begun stays for the next one. */
static void give_up_begun(struct sending *s, err_t e, const char *why)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (s->draft[i]->transaction.began)
            report(s, s->draft[i], e, why);
        else
            s->draft[kept++] = s->draft[i];
    }
    s->n = kept;
}

static err_t connect_again(struct sending *s)
{
    if (s->link->open && !session(s)->closing)
        return NULL;
    mail_link_close(s->link, s->until);
    for (size_t i = 0; i < s->n; i++) /* for the last connection, whose server may have offered other things */
        s->draft[i]->fitted = false;
    return mail_link_open(s->link, s->until);
}

/* Take drafts from the source until the window is full. */
static void fill(struct sending *s)
{
    size_t window = s->source->window < 1 ? 1 : s->source->window;
    while (!s->ended && s->n < window) {
        struct mail_draft *d = s->source->next(s->source->arg);
        if (d)
            s->draft[s->n++] = d;
        else
            s->ended = true;
    }
}

/* Adapt them to what this server offers; one that cannot be sent here is reported and leaves the window. */
static void fit(struct sending *s)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->n; i++) {
        struct mail_draft *d = s->draft[i];
        err_t e = d->fitted ? NULL : mail_draft_fit(d, &session(s)->caps, s->link->host);
        d->fitted = true;
        if (e)
            report_fault(s, d, e);
        else
            s->draft[kept++] = d;
    }
    s->n = kept;
}

static bool is_small(const struct mail_draft *d)
{
    return d->message.size <= SMTP_SMALL;
}

/* With BDAT several short messages are on their way at once; a long one only when it is the oldest. */
static err_t begin_what_fits(struct sending *s)
{
    bool chunking = session(s)->caps.chunking && session(s)->caps.pipelining;
    for (size_t i = 0; i < s->n; i++) {
        if (i && (!chunking || !is_small(s->draft[i]) || !is_small(s->draft[i - 1])))
            return NULL;
        if (!s->draft[i]->transaction.began)
            TRY(smtp_begin(session(s), &s->draft[i]->transaction, s->until));
        if (session(s)->closing)
            return NULL;
    }
    return NULL;
}

static err_t finish_first(struct sending *s)
{
    bool behind = s->n > 1 && !s->draft[1]->transaction.began && !session(s)->caps.chunking;
    return smtp_finish(session(s), &s->draft[0]->transaction, behind ? &s->draft[1]->transaction : NULL, s->until);
}

/* One message to its end. */
static void step(struct sending *s)
{
    char why[256];
    err_t e = begin_what_fits(s);
    if (!e)
        e = finish_first(s);
    bool whole = !e && (s->draft[0]->transaction.end.code || !session(s)->closing);
    if (whole) {
        report(s, s->draft[0], NULL, NULL);
        drop_first(s);
    }
    if (!e && !session(s)->closing)
        return;
    snprintf(why, sizeof why, "%s", e ? fault_detail() : session(s)->last_words);
    session(s)->closing = true;
    give_up_begun(s, e ? e : E_EOF, why);
}

/* Nothing can be sent: every draft hears why. */
static err_t fail_all(struct sending *s, err_t e)
{
    char why[256];
    struct mail_draft *d;
    snprintf(why, sizeof why, "%s", fault_detail());
    for (size_t i = 0; i < s->n; i++)
        report(s, s->draft[i], e, why);
    s->n = 0;
    while (!s->ended && (d = s->source->next(s->source->arg)))
        report(s, d, e, why);
    return fault(e, "%s", why);
}

err_t mail_send(struct mail_link *link, const struct mail_source *source, tick until)
{
    struct sending s = {.link = link, .source = source, .until = until};
    CHECK(source->window <= MAIL_WINDOW);
    for (;;) {
        fill(&s);
        if (s.n == 0)
            return NULL;
        err_t e = connect_again(&s);
        if (e)
            return fail_all(&s, e);
        fit(&s);
        if (s.n)
            step(&s);
    }
}
