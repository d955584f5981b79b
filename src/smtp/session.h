/* SPDX-License-Identifier: MIT */
/*
 * session.h -- the client's side of an SMTP dialogue on a stream (RFC 5321, 2920, 3030, 3207).
 *
 * Commands are gathered in `out` and leave in one write; each puts an entry into a queue of expected answers, and
 * answers are paired with entries in order. With PIPELINING a whole envelope is one write, and the envelope of the
 * next message rides behind the body of the last; without it each command waits for its answer in the same code.
 *
 *     smtp_session_open(&s, stream, ...);
 *     TRY(smtp_greeting(&s, until)); TRY(smtp_hello(&s, name, until)); ...
 *     TRY(smtp_begin(&s, &t, until));     the envelope, perhaps with a short body
 *     TRY(smtp_finish(&s, &t, until));    the body and the outcome
 *     smtp_quit(&s, until);
 *
 * What the server says to a message is not an error of the session: it is recorded in the transaction. An err_t
 * means that the dialogue broke: the session can then only be closed.
 */
#pragma once

#include "base/arena.h"
#include "net/stream.h"
#include "smtp/caps_parse.h"
#include "smtp/command_format.h"
#include "smtp/mime_format.h"

struct tls;

enum {
    SMTP_SMALL = 32 * 1024, /* bodies up to this go out with their envelope */
    SMTP_GROUP = 24 * 1024, /* a group of pipelined commands is sent, and its answers awaited, at this size */
    SMTP_CHUNK = 8 << 20,   /* of BDAT; the server can refuse after each */
    SMTP_LINGER_MS = 2000,  /* for a server's last words after a write failed */
};

struct smtp_answer {
    int code;         /* 0: none came */
    const char *text; /* "550 5.1.1 No such user", safe to show; in the transaction's arena; NULL for plain success */
};
struct smtp_rcpt {
    struct slice address;
    unsigned notify;
    struct smtp_answer answer;
};
struct smtp_transaction {
    struct smtp_mail_params mail;
    struct smtp_rcpt *rcpts;
    size_t rcpt_count;
    struct mime_message *message;
    struct arena *arena;
    /* filled in */
    struct smtp_answer from, data, end; /* to MAIL, to DATA, to the body */
    size_t accepted;                    /* recipients */
    size_t waiting;                     /* answers not read yet */
    bool began, body_sent, data_sent, over;
};
struct smtp_expected { /* an answer to come */
    enum { SMTP_WAIT_RSET, SMTP_WAIT_MAIL, SMTP_WAIT_RCPT, SMTP_WAIT_DATA, SMTP_WAIT_CHUNK, SMTP_WAIT_END } what;
    struct smtp_transaction *transaction;
    size_t rcpt;
};
struct smtp_session {
    struct stream *stream;
    const char *host;        /* for messages, and what its certificate must say */
    int64_t step_ms, end_ms; /* patience for one answer or one piece written; for the answer to a body */
    struct smtp_caps caps;
    struct buf in, out;
    size_t in_used; /* bytes of `in` that belong to the answer handed out last */
    struct smtp_expected *expected;
    size_t expected_at, expected_n, expected_cap;
    bool secure;     /* TLS is on */
    bool closing;    /* only smtp_session_close makes sense now */
    bool need_reset; /* the last transaction was left open */
    char greeting[128], hello[256];
    char last_words[240]; /* of a 421, or of what came before the end */
};

/* Takes the stream over. `host` must outlive the session. */
void smtp_session_open(struct smtp_session *, struct stream *, const char *host, int64_t step_ms, int64_t end_ms);
void smtp_session_close(struct smtp_session *);

MUST err_t smtp_greeting(struct smtp_session *, tick until);
/* EHLO, HELO where that is not understood. E_REJECTED, E_DEFERRED. */
MUST err_t smtp_hello(struct smtp_session *, const char *name, tick until);
/* STARTTLS and the handshake; what the server offered before is forgotten (RFC 3207 section 4.2), so say hello
   again. E_INSECURE when it refuses; E_PROTO when it sent anything in the clear behind its 220; E_CERT. */
MUST err_t smtp_starttls(struct smtp_session *, struct tls *, tick until);
void smtp_quit(struct smtp_session *, tick until); /* polite, but what the answer is does not matter */

MUST err_t smtp_begin(struct smtp_session *, struct smtp_transaction *, tick until);
/* `next` may be NULL; otherwise it is begun behind this one's body. */
MUST err_t smtp_finish(struct smtp_session *, struct smtp_transaction *, struct smtp_transaction *next, tick until);

/* One command, one answer: for the steps before mail. The line is in s->out. The reply is valid until the next. */
MUST err_t smtp_exchange(struct smtp_session *, const char *what, struct smtp_reply *, tick until);
/* The error that a refusal stands for, with the server's words as the fault note. */
err_t smtp_refusal(const struct smtp_session *, const char *what, const struct smtp_reply *);

/* -- between session.c and session_mail.c, session_body.c -- */
MUST err_t smtp_read_reply(struct smtp_session *, const char *what, struct smtp_reply *, tick until);
MUST err_t smtp_expect(struct smtp_session *, struct smtp_expected);
MUST err_t smtp_flush(struct smtp_session *, tick until);
MUST err_t smtp_take_answer(struct smtp_session *, const struct smtp_reply *); /* pairs it with the head of the queue */
MUST err_t smtp_body_add(struct smtp_session *, const struct mime_message *, bool stuff); /* a short body into `out` */
MUST err_t smtp_body_stream(struct smtp_session *, struct smtp_transaction *, bool bdat, tick until);
tick smtp_deadline(int64_t ms, tick until);
