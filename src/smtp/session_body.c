/* SPDX-License-Identifier: MIT */
/*
 * session_body.c -- bodies on the wire.
 *
 * A long one is written by one fiber while another listens: a server that has had enough says so in the middle of
 * the data, and may then reset the connection. Its words are worth more than "connection reset", and a server that
 * neither reads nor closes must not hold the writer for ever.
 */
#include <stdlib.h>

#include "rt/loop.h"
#include "rt/scope.h"
#include "rt/waitq.h"
#include "smtp/message.h"
#include "smtp/session.h"

struct push { /* one long body on its way; lives on the stack of smtp_body_stream */
    struct smtp_session *s;
    struct smtp_transaction *t;
    struct message_reader reader;
    bool bdat, at_start;
    char *stuffed;       /* room for a chunk with doubled dots */
    uint64_t left;       /* bytes of the message not sent yet */
    uint64_t chunk_left; /* of the BDAT chunk */
    tick until;
    struct waitq changed;
    bool written, answered;
    err_t write_err, read_err;
    char write_note[256];
};

err_t smtp_body_add(struct smtp_session *s, const struct mime_message *m, bool stuff)
{
    struct message_reader r;
    struct slice chunk;
    bool no_dots, at_start = true;
    size_t size = 0;
    err_t e;
    message_reader_start(&r, m);
    while (!(e = message_reader_next(&r, &chunk, &no_dots)) && chunk.n) {
        char *at;
        size += chunk.n;
        if ((e = buf_room(&s->out, 2 * chunk.n, &at)))
            break;
        bool plain = !stuff || no_dots;
        if (plain)
            memcpy(at, chunk.p, chunk.n);
        at_start = plain ? chunk.p[chunk.n - 1] == '\n' : at_start;
        s->out.n += plain ? chunk.n : smtp_stuff(chunk, &at_start, at);
    }
    message_reader_done(&r);
    return e ? e : size == m->size ? NULL : fault(E_CHANGED, "the message");
}

/* ---- the writing fiber ---- */

static err_t write_piece(struct push *p, struct slice piece)
{
    return stream_write(p->s->stream, piece, smtp_deadline(p->s->step_ms, p->until));
}

/* Begin the next BDAT chunk: its command is written, its answer expected. */
static err_t next_chunk(struct push *p)
{
    AUTO(buf_free) struct buf line = {0};
    p->chunk_left = p->left < SMTP_CHUNK ? p->left : SMTP_CHUNK;
    bool last = p->chunk_left == p->left;
    TRY(smtp_format_bdat(&line, p->chunk_left, last));
    TRY(smtp_expect(p->s, (struct smtp_expected){last ? SMTP_WAIT_END : SMTP_WAIT_CHUNK, p->t, 0}));
    return write_piece(p, buf_slice(&line));
}

/* A chunk is answered before the next begins, where the server does not take pipelined commands. */
static err_t chunk_answered(struct push *p)
{
    while (!p->s->caps.pipelining && p->t->waiting && !p->answered)
        TRY(waitq_wait(&p->changed, smtp_deadline(p->s->end_ms, p->until)));
    return NULL;
}

static err_t write_bdat(struct push *p, struct slice chunk)
{
    while (chunk.n) {
        if (p->chunk_left == 0) {
            TRY(chunk_answered(p));
            TRY(next_chunk(p));
        }
        struct slice part = slice_first(chunk, p->chunk_left);
        TRY(write_piece(p, part));
        p->chunk_left -= part.n, p->left -= part.n;
        chunk = slice_from(chunk, part.n);
    }
    return NULL;
}

static err_t write_data(struct push *p, struct slice chunk, bool no_dots)
{
    p->left -= chunk.n;
    if (no_dots) {
        p->at_start = chunk.p[chunk.n - 1] == '\n';
        return write_piece(p, chunk);
    }
    enum { STEP = 64 * 1024 };
    while (chunk.n) {
        struct slice part = slice_first(chunk, STEP);
        if (!p->stuffed && !(p->stuffed = malloc(2 * STEP)))
            return E_NO_MEMORY;
        TRY(write_piece(p, slice_of(p->stuffed, smtp_stuff(part, &p->at_start, p->stuffed))));
        chunk = slice_from(chunk, part.n);
    }
    return NULL;
}

static err_t write_body(struct push *p)
{
    struct slice chunk;
    bool no_dots;
    for (;;) {
        TRY(message_reader_next(&p->reader, &chunk, &no_dots));
        if (chunk.n == 0)
            break;
        if (chunk.n > p->left)
            return fault(E_CHANGED, "the message");
        TRY(p->bdat ? write_bdat(p, chunk) : write_data(p, chunk, no_dots));
    }
    if (p->left)
        return fault(E_CHANGED, "the message");
    return p->bdat ? NULL : write_piece(p, S(".\r\n"));
}

static void writer(void *arg)
{
    struct push *p = arg;
    fault_clear();
    p->write_err = write_body(p);
    size_t n = strlen(fault_detail());
    memcpy(p->write_note, fault_detail(), n < sizeof p->write_note ? n + 1 : 0);
    p->written = true;
    waitq_wake(&p->changed, -1);
}

/* ---- the listening fiber ---- */

static err_t listen_once(struct push *p)
{
    struct smtp_reply r;
    TRY(smtp_read_reply(p->s, "the message", &r, p->until));
    bool early = !p->written;
    TRY(smtp_take_answer(p->s, &r));
    if (early && r.code / 100 != 2) /* the rest of the body is still on its way: nothing can follow it */
        p->s->closing = true;
    p->answered = p->t->end.code != 0;
    waitq_wake(&p->changed, -1);
    return NULL;
}

static void listener(void *arg)
{
    struct push *p = arg;
    while (!p->read_err && !p->answered)
        p->read_err = listen_once(p);
    waitq_wake(&p->changed, -1);
}

/* ---- the one that waits for both ---- */

static err_t wait_for_outcome(struct push *p)
{
    struct smtp_session *s = p->s;
    tick limit = p->until;
    bool counting = false;
    while (!p->answered && !p->read_err) {
        if (p->written && !counting) {
            counting = true;
            limit = smtp_deadline(p->write_err ? SMTP_LINGER_MS : s->end_ms, p->until);
        }
        err_t e = waitq_wait(&p->changed, limit);
        if (e == E_TIMEOUT && !p->write_err)
            return fault(e, "%s: no answer to the message within the time allowed", s->host);
        if (e && e != E_TIMEOUT)
            return e;
        if (e)
            break;
    }
    return NULL;
}

static err_t outcome(struct push *p, err_t e)
{
    p->s->closing = p->s->closing || !p->answered || p->t->end.code / 100 != 2 || !p->written || p->write_err;
    if (p->answered || e)
        return e;
    if (p->write_err && p->write_err != E_RESET && p->write_err != E_CANCELED)
        return *p->write_note ? fault(p->write_err, "%s", p->write_note)
                              : fault(p->write_err, "%s: the message", p->s->host);
    if (p->read_err && p->read_err->kind != ERR_PEER && p->read_err != E_CANCELED)
        return fault(p->read_err, "%s: in the middle of the message", p->s->host);
    return fault(E_EOF, "%s: in the middle of the message, without a word", p->s->host);
}

err_t smtp_body_stream(struct smtp_session *s, struct smtp_transaction *t, bool bdat, tick until)
{
    struct push p = {.s = s, .t = t, .bdat = bdat, .at_start = true, .left = t->message->size, .until = until};
    struct scope scope;
    message_reader_start(&p.reader, t->message);
    waitq_init(&p.changed);
    if (!bdat)
        TRY(smtp_expect(s, (struct smtp_expected){SMTP_WAIT_END, t, 0}));
    scope_open(&scope);
    err_t e = scope_spawn(&scope, "mail body", writer, &p);
    if (!e)
        e = scope_spawn(&scope, "mail listener", listener, &p);
    if (!e)
        e = wait_for_outcome(&p);
    scope_close(&scope);
    message_reader_done(&p.reader);
    free(p.stuffed);
    return outcome(&p, e);
}
