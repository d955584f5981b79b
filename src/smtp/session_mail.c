/* SPDX-License-Identifier: MIT */
/* session_mail.c -- one message: envelope, body, and which answer belongs to what. */
#include <stdlib.h>

#include "base/check.h"
#include "smtp/session.h"

static err_t protocol(struct smtp_session *s, const struct smtp_reply *r)
{
    char text[160];
    smtp_reply_text(r, text, sizeof text);
    s->closing = true;
    return fault(E_PROTO, "%s: an answer that belongs to nothing: '%s'", s->host, text);
}

/* ---- expected answers ---- */

err_t smtp_expect(struct smtp_session *s, struct smtp_expected e)
{
    if (s->expected_at == s->expected_n)
        s->expected_at = s->expected_n = 0;
    if (s->expected_n == s->expected_cap) {
        size_t cap = s->expected_cap ? s->expected_cap * 2 : 16;
        struct smtp_expected *v = realloc(s->expected, cap * sizeof *v);
        if (!v)
            return E_NO_MEMORY;
        s->expected = v, s->expected_cap = cap;
    }
    s->expected[s->expected_n++] = e;
    if (e.transaction)
        e.transaction->waiting++;
    return NULL;
}

static err_t keep(struct smtp_transaction *t, struct smtp_answer *out, const struct smtp_reply *r, bool always)
{
    out->code = r->code;
    if (!always && r->code / 100 == 2)
        return NULL;
    char text[512];
    smtp_reply_text(r, text, sizeof text);
    out->text = arena_copy(t->arena, slice_z(text)).p;
    return out->text ? NULL : E_NO_MEMORY;
}

err_t smtp_take_answer(struct smtp_session *s, const struct smtp_reply *r)
{
    if (s->expected_at == s->expected_n)
        return protocol(s, r);
    struct smtp_expected e = s->expected[s->expected_at++];
    struct smtp_transaction *t = e.transaction;
    if (t)
        t->waiting--;
    switch (e.what) {
    case SMTP_WAIT_RSET:
        return r->code / 100 == 2 || s->closing ? NULL : protocol(s, r);
    case SMTP_WAIT_MAIL:
        return keep(t, &t->from, r, false);
    case SMTP_WAIT_RCPT:
        t->accepted += r->code / 100 == 2;
        return keep(t, &t->rcpts[e.rcpt].answer, r, false);
    case SMTP_WAIT_DATA:
        return keep(t, &t->data, r, false);
    case SMTP_WAIT_CHUNK:
        return r->code / 100 == 2 ? NULL : keep(t, &t->end, r, true);
    case SMTP_WAIT_END:
        t->over = true;
        return t->end.code / 100 > 2 ? NULL : keep(t, &t->end, r, true);
    }
    UNREACHABLE();
}

/* Send what was gathered and read answers until `t` waits for none; t NULL: until nothing does. */
static err_t settle(struct smtp_session *s, const struct smtp_transaction *t, int64_t ms, tick until)
{
    static const char *const names[] = {"RSET", "MAIL", "RCPT", "DATA", "BDAT", "the message"};
    struct smtp_reply r;
    TRY(smtp_flush(s, until));
    while (t ? t->waiting > 0 : s->expected_at < s->expected_n) {
        const char *what = s->expected_at < s->expected_n ? names[s->expected[s->expected_at].what] : "";
        TRY(smtp_read_reply(s, what, &r, smtp_deadline(ms, until)));
        TRY(smtp_take_answer(s, &r));
    }
    return NULL;
}

/* A command line was added to `out`: expect its answer, at once without PIPELINING. */
static err_t queued(struct smtp_session *s, struct smtp_expected e, tick until)
{
    TRY(smtp_expect(s, e));
    bool now = !s->caps.pipelining || s->out.n > SMTP_GROUP;
    return now ? settle(s, NULL, s->step_ms, until) : NULL;
}

/* ---- envelope ---- */

static bool refused(const struct smtp_answer *a)
{
    return a->code != 0 && a->code / 100 != 2;
}

static bool waits_for_body(const struct smtp_session *s)
{
    return s->expected_n > s->expected_at && s->expected[s->expected_n - 1].what == SMTP_WAIT_END;
}

static err_t add_envelope(struct smtp_session *s, struct smtp_transaction *t, tick until)
{
    /* Behind a BDAT that may yet fail, the server's state is unknown (RFC 3030 section 2). */
    if (s->need_reset || (s->caps.chunking && waits_for_body(s))) {
        s->need_reset = false;
        TRY(buf_add(&s->out, S("RSET\r\n")));
        TRY(queued(s, (struct smtp_expected){.what = SMTP_WAIT_RSET}, until));
    }
    TRY(smtp_format_mail(&s->out, &t->mail));
    TRY(queued(s, (struct smtp_expected){SMTP_WAIT_MAIL, t, 0}, until));
    for (size_t i = 0; i < t->rcpt_count && !refused(&t->from) && !s->closing; i++) {
        TRY(smtp_format_rcpt(&s->out, t->rcpts[i].address, t->rcpts[i].notify));
        TRY(queued(s, (struct smtp_expected){SMTP_WAIT_RCPT, t, i}, until));
    }
    return NULL;
}

static err_t add_small_bdat(struct smtp_session *s, struct smtp_transaction *t)
{
    TRY(smtp_format_bdat(&s->out, t->message->size, true));
    TRY(smtp_body_add(s, t->message, false));
    t->body_sent = true;
    return smtp_expect(s, (struct smtp_expected){SMTP_WAIT_END, t, 0});
}

/* Can the body, or DATA, go with the envelope, before it is known that anybody is accepted? */
static err_t add_start_of_body(struct smtp_session *s, struct smtp_transaction *t, tick until)
{
    bool hopeless = refused(&t->from) || (t->waiting == 0 && t->accepted == 0);
    if (!s->caps.pipelining || hopeless)
        return NULL;
    if (s->caps.chunking)
        return t->message->size <= SMTP_SMALL ? add_small_bdat(s, t) : NULL;
    TRY(buf_add(&s->out, S("DATA\r\n")));
    t->data_sent = true;
    return queued(s, (struct smtp_expected){SMTP_WAIT_DATA, t, 0}, until);
}

err_t smtp_begin(struct smtp_session *s, struct smtp_transaction *t, tick until)
{
    CHECK(!t->began && t->message->size != UINT64_MAX && t->rcpt_count);
    t->began = true;
    TRY(add_envelope(s, t, until));
    if (s->closing)
        return NULL;
    return add_start_of_body(s, t, until);
}

/* ---- body ---- */

/* DATA was answered with 354 although nobody is accepted: RFC 2920 section 3.1 wants an empty message. */
static err_t end_empty(struct smtp_session *s, struct smtp_transaction *t, tick until)
{
    TRY(buf_add(&s->out, S(".\r\n")));
    TRY(smtp_expect(s, (struct smtp_expected){SMTP_WAIT_END, t, 0}));
    return settle(s, t, s->step_ms, until);
}

static err_t small_data(struct smtp_session *s, struct smtp_transaction *t, struct smtp_transaction *next, tick until)
{
    TRY(smtp_body_add(s, t->message, true));
    TRY(buf_add(&s->out, S(".\r\n")));
    TRY(smtp_expect(s, (struct smtp_expected){SMTP_WAIT_END, t, 0}));
    if (next && s->caps.pipelining)
        TRY(smtp_begin(s, next, until));
    return settle(s, t, s->end_ms, until);
}

static err_t send_data(struct smtp_session *s, struct smtp_transaction *t, struct smtp_transaction *next, tick until)
{
    if (!t->data_sent) {
        t->data_sent = true;
        TRY(buf_add(&s->out, S("DATA\r\n")));
        TRY(smtp_expect(s, (struct smtp_expected){SMTP_WAIT_DATA, t, 0}));
        TRY(settle(s, t, s->step_ms, until));
    }
    if (t->data.code != 354) {
        s->need_reset = true;
        return NULL;
    }
    if (t->accepted == 0)
        return end_empty(s, t, until);
    t->body_sent = true;
    return t->message->size <= SMTP_SMALL ? small_data(s, t, next, until) : smtp_body_stream(s, t, false, until);
}

err_t smtp_finish(struct smtp_session *s, struct smtp_transaction *t, struct smtp_transaction *next, tick until)
{
    TRY(settle(s, t, t->body_sent ? s->end_ms : s->step_ms, until));
    if (s->closing)
        return NULL;
    if (t->body_sent) { /* by BDAT, with the envelope */
        s->need_reset = s->need_reset || t->end.code / 100 != 2;
        return NULL;
    }
    if (t->accepted == 0 && !t->data_sent) {
        s->need_reset = s->need_reset || t->from.code / 100 == 2;
        return NULL;
    }
    if (!s->caps.chunking)
        return send_data(s, t, next, until);
    t->body_sent = true;
    if (t->message->size > SMTP_SMALL)
        return smtp_body_stream(s, t, true, until);
    TRY(add_small_bdat(s, t));
    TRY(settle(s, t, s->end_ms, until));
    s->need_reset = t->end.code / 100 != 2;
    return NULL;
}
