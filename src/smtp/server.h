/* SPDX-License-Identifier: MIT */
/*
 * server.h -- the server's side of an SMTP dialogue: a small, strict receiver (RFC 5321, 1870, 2920, 3030, 3207,
 * 3461, 4954, 6152, 6531). It checks what clients get wrong, says which rule was broken, and misbehaves on demand.
 *
 * What becomes of a message is the caller's: `hooks` get the envelope, the bytes, and the end. Replies of a pipelined
 * group leave in one write, just before the server would wait for more.
 */
#pragma once

#include "base/addr.h"
#include "base/arena.h"
#include "net/stream.h"
#include "smtp/fault_parse.h"
#include "smtp/request_parse.h"

struct tls;
struct smtp_server;

struct smtp_envelope {
    struct slice from;
    struct slice *rcpts;
    size_t count, cap;
    struct smtp_request mail; /* its parameters */
};
struct smtp_hooks {
    /* A message begins; `*delivery` is passed to the others. NULL hooks: nothing is kept. */
    err_t (*begin)(void *arg, const struct smtp_server *, void **delivery);
    err_t (*data)(void *delivery, struct slice);
    /* The message is whole; when this returns NULL it is safe to say 250. `id` goes into the reply. */
    err_t (*commit)(void *delivery, char id[64], tick until);
    void (*discard)(void *delivery);
    void (*done)(void *arg, const struct smtp_server *, uint64_t size, const char *id); /* for a line a message */
    void *arg;
};
enum { /* for smtp_server_conf.hide: extensions not to offer */
       SMTP_HIDE_PIPELINING = 1,
       SMTP_HIDE_SIZE = 2,
       SMTP_HIDE_8BITMIME = 4,
       SMTP_HIDE_SMTPUTF8 = 8,
       SMTP_HIDE_CHUNKING = 16,
       SMTP_HIDE_DSN = 32,
       SMTP_HIDE_STARTTLS = 64,
       SMTP_HIDE_AUTH = 128,
       SMTP_HIDE_EHLO = 256,
};
struct smtp_server_conf {
    const char *name;
    uint64_t max_size; /* of a message; 0: no limit */
    size_t max_rcpts;
    int64_t idle_ms;                                      /* patience with a client */
    struct tls *tls;                                      /* NULL: no STARTTLS */
    const char *(*password)(void *arg, const char *user); /* NULL: no AUTH */
    void *password_arg;
    const char *mechanisms; /* offered, NULL: all */
    bool require_auth, require_tls, lenient;
    unsigned hide;
    const struct smtp_fault *faults;
    size_t fault_count;
    struct smtp_hooks hooks;
};

enum { SMTP_SERVER_LINE = 12288 + 2, SMTP_SERVER_READ = 64 * 1024, SMTP_ERRORS_MAX = 50 };

struct smtp_server { /* one connection */
    const struct smtp_server_conf *conf;
    struct stream *stream;
    const char *peer;
    struct buf in, out;
    size_t at; /* bytes of `in` that were dealt with */
    char hello[256], user[256];
    bool esmtp, greeted, secure, leaving, in_mail;
    struct arena arena; /* of the transaction */
    struct smtp_envelope env;
    void *delivery;
    uint64_t size;          /* of the message so far */
    const char *damage;     /* the reply that the end of the message will get instead of 250 */
    bool bdat;              /* the message comes in chunks */
    bool at_start, last_cr; /* of the text seen last: at a line's start, behind a CR */
    uint64_t line;          /* length of the line so far */
    unsigned errors;
    unsigned seen[STEPS]; /* how often each step was taken, for faults */
};

/* Serve one connection until it ends; takes the stream over and closes it. `tls_first`: TLS is on already. */
void smtp_serve(const struct smtp_server_conf *, struct stream *, const char *peer, bool tls_first);

/* -- between server.c, server_mail.c, server_text.c, server_fault.c and server_auth.c -- */
MUST err_t smtp_server_reply(struct smtp_server *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
MUST err_t smtp_server_flush(struct smtp_server *);
MUST err_t smtp_server_line(struct smtp_server *, struct slice *line, const char **no); /* eats it */
MUST err_t smtp_server_more(struct smtp_server *, size_t most); /* flushes, then waits for bytes */
static inline struct slice smtp_server_unread(const struct smtp_server *s)
{
    return slice_of(s->in.p + s->at, s->in.n - s->at);
}
MUST err_t smtp_server_mail(struct smtp_server *, const struct smtp_request *);
MUST err_t smtp_server_rcpt(struct smtp_server *, const struct smtp_request *);
MUST err_t smtp_server_data(struct smtp_server *);
MUST err_t smtp_server_bdat(struct smtp_server *, const struct smtp_request *);
void smtp_server_reset(struct smtp_server *);
MUST err_t smtp_server_auth(struct smtp_server *, const struct smtp_request *);
const char *smtp_server_mechanisms(const struct smtp_server *, char *out, size_t cap);
/* Check and pass on a piece of a message, dots already taken out. */
MUST err_t smtp_server_text(struct smtp_server *, struct slice);
/* Is there a fault for this step? Then it was played and `*played` is true; an error ends the connection. */
MUST err_t smtp_server_fault(struct smtp_server *, enum smtp_step, struct slice command, bool *played);
/* Bytes of a body until the next fault strikes (SIZE_MAX: none), and playing it. */
uint64_t smtp_server_fault_in(const struct smtp_server *);
