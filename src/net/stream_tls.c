/* SPDX-License-Identifier: MIT */
/*
 * A TLS stream. Over plain TCP OpenSSL's BIO reads and writes the socket itself through the _now calls of rt/io.h, so
 * nothing is copied once more; over any other stream it works on two buffers, and the fiber moves them outside of
 * OpenSSL. No call suspends while OpenSSL is on the stack.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "base/check.h"
#include "net/tls_internal.h"
#include "rt/io.h"
#include "rt/loop.h"
#include "rt/waitq.h"

enum { RECORD = 16384, BELOW_PIECE = 16384 + 512 };

/* Bytes between OpenSSL and a stream that is no plain socket. */
struct pipe {
    struct buf in, out;
    bool in_end, moving;
    struct waitq moved; /* of `out`: one fiber writes it, others wait here */
};
struct stream_tls {
    struct stream stream;
    SSL *ssl;
    int fd; /* of a plain socket below; -1 otherwise, then `pipe` is used */
    struct pipe *pipe;
    struct tls *tls; /* held */
    bool failed, finished;
    bool waiting[2];   /* a fiber waits for the socket in this direction */
    err_t broken;      /* what the BIO met */
    struct waitq turn; /* for the other, when both need the same direction */
    struct tls_peer *peer;
};

/* Small pieces become one record here. The fibers of a loop share it: see write_all. */
static _Thread_local char *gather;
static _Thread_local struct loop_end gather_end;

static struct stream_tls *tls_of(struct stream *s)
{
    return (struct stream_tls *)s;
}

/* -- BIO: what OpenSSL calls -- */

static int bio_result(struct stream_tls *t, BIO *bio, err_t e, size_t n, bool reading)
{
    BIO_clear_retry_flags(bio);
    if (e == E_TIMEOUT) {
        if (reading)
            BIO_set_retry_read(bio);
        else
            BIO_set_retry_write(bio);
        return -1;
    }
    if (e)
        t->broken = e;
    return e ? -1 : (int)n;
}

static err_t pipe_read(struct pipe *p, char *out, size_t cap, size_t *got)
{
    if (p->in.n == 0 && !p->in_end)
        return E_TIMEOUT;
    *got = p->in.n < cap ? p->in.n : cap;
    if (*got)
        memcpy(out, p->in.p, *got);
    buf_eat(&p->in, *got);
    return NULL;
}

static int bio_read(BIO *bio, char *out, int cap)
{
    struct stream_tls *t = BIO_get_data(bio);
    size_t got = 0;
    err_t e = t->pipe ? pipe_read(t->pipe, out, (size_t)cap, &got) : io_read_now(t->fd, out, (size_t)cap, &got);
    return bio_result(t, bio, e, got, true);
}

static int bio_write(BIO *bio, const char *p, int n)
{
    struct stream_tls *t = BIO_get_data(bio);
    size_t put = (size_t)n;
    err_t e = t->pipe ? buf_add(&t->pipe->out, slice_of(p, put)) : io_write_now(t->fd, p, put, &put);
    return bio_result(t, bio, e, put, false);
}

static long bio_ctrl(BIO *bio, int what, long n, void *p)
{
    (void)bio, (void)n, (void)p;
    return what == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *method;

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "l7");
    if (method) {
        BIO_meth_set_read(method, bio_read);
        BIO_meth_set_write(method, bio_write);
        BIO_meth_set_ctrl(method, bio_ctrl);
    }
}

static BIO *bio_new(struct stream_tls *t)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_method);
    BIO *bio = method ? BIO_new(method) : NULL;
    if (bio) {
        BIO_set_data(bio, t);
        BIO_set_init(bio, 1);
    }
    return bio;
}

/* -- waiting, outside of OpenSSL -- */

/* Send what OpenSSL left in the pipe. One fiber at a time writes below; the others wait until theirs is gone too. */
static err_t pipe_flush(struct stream_tls *t, tick until)
{
    struct pipe *p = t->pipe;
    while (p && (p->out.n || p->moving)) {
        if (p->moving) {
            TRY(waitq_wait(&p->moved, until));
            continue;
        }
        struct buf taken = p->out;
        p->out = (struct buf){.p = NULL};
        p->moving = true;
        err_t e = stream_write(t->stream.below, buf_slice(&taken), until);
        p->moving = false;
        buf_free(&taken);
        waitq_wake(&p->moved, -1);
        TRY(e);
    }
    return NULL;
}

static err_t pipe_fill(struct stream_tls *t, tick until)
{
    err_t e = stream_fill(t->stream.below, &t->pipe->in, BELOW_PIECE, until);
    if (e == E_EOF)
        t->pipe->in_end = true;
    return e == E_EOF ? NULL : e;
}

static err_t socket_wait(struct stream_tls *t, enum io_dir dir, tick until)
{
    if (t->waiting[dir]) /* the fiber of the other direction waits for the same: try again when it was served */
        return waitq_wait(&t->turn, until);
    t->waiting[dir] = true;
    err_t e = io_wait(t->fd, dir, until);
    t->waiting[dir] = false;
    waitq_wake(&t->turn, -1);
    return e;
}

static err_t wait_for(struct stream_tls *t, enum io_dir dir, tick until)
{
    if (!t->pipe)
        return socket_wait(t, dir, until);
    /* A reader does not wait for the writing fiber, which may itself wait for the other side to be read from. */
    if (dir == IO_WRITE || !t->pipe->moving)
        TRY(pipe_flush(t, until));
    return dir == IO_READ ? pipe_fill(t, until) : NULL;
}

/* What to do about a result <= 0 of SSL_read, SSL_write and so on: NULL means try again. */
static err_t again(struct stream_tls *t, int result, const char *doing, tick until)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return wait_for(t, IO_READ, until);
    case SSL_ERROR_WANT_WRITE:
        return wait_for(t, IO_WRITE, until);
    case SSL_ERROR_ZERO_RETURN:
        return E_EOF;
    default:
        break;
    }
    t->failed = true;
    unsigned long code = ERR_peek_error();
    if (ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING || (code == 0 && !t->broken)) {
        ERR_clear_error();
        return fault(E_TRUNCATED, "%sthe connection ended without TLS saying so", doing);
    }
    if (t->broken) {
        ERR_clear_error();
        return t->broken;
    }
    return tls_fault(E_TLS, "");
}

/* -- the operations -- */

/* SSL_get_error looks at the thread's queue of errors, which must be empty before a call. It mostly is, and looking is
   ten times cheaper than emptying. */
static void forget_errors(void)
{
    if (ERR_peek_error())
        ERR_clear_error();
}

static err_t tls_read(struct stream *s, void *p, size_t cap, size_t *got, tick until)
{
    struct stream_tls *t = tls_of(s);
    for (;;) {
        forget_errors();
        int n = FOREIGN(SSL_read_ex(t->ssl, p, cap, got));
        if (n == 1)
            return NULL;
        err_t e = again(t, n, "", until);
        if (e == E_EOF) {
            *got = 0;
            return NULL;
        }
        TRY(e);
    }
}

/* Others fill `gather` as soon as this fiber waits, and by then OpenSSL need not have taken all of it: records that the
   peer wants small (RFC 6066 section 4) leave one by one, and a key update goes ahead of them (RFC 8446 section 4.6.3).
   What is left moves to memory of its own. */
static err_t write_all(struct stream_tls *t, const char *p, size_t *n, tick until)
{
    AUTO(buf_free) struct buf own = {0};
    bool shared = p == gather;
    for (size_t put; *n;) {
        size_t step = *n < RECORD ? *n : RECORD;
        forget_errors();
        int ok = FOREIGN(SSL_write_ex(t->ssl, p, step, &put));
        if (ok == 1) {
            p += put, *n -= put;
            continue;
        }
        if (shared && !own.n) {
            TRY(buf_add(&own, slice_of(p, *n)));
            p = own.p;
        }
        TRY(again(t, ok, "", until));
    }
    return pipe_flush(t, until);
}

static void gather_done(struct loop_end *end)
{
    (void)end;
    free(gather);
    gather = NULL;
}

static err_t gather_get(void)
{
    if (gather)
        return NULL;
    if (!(gather = malloc(RECORD)))
        return E_NO_MEMORY;
    gather_end.run = gather_done;
    loop_at_end(&gather_end);
    return NULL;
}

/* As many of the next pieces as fit into one record; the array is used up. */
static size_t gather_fill(struct iovec **v, int *n)
{
    size_t have = 0;
    while (*n && have < RECORD) {
        size_t take = (*v)->iov_len < RECORD - have ? (*v)->iov_len : RECORD - have;
        if (take)
            memcpy(gather + have, (*v)->iov_base, take);
        have += take;
        (*v)->iov_base = (char *)(*v)->iov_base + take;
        (*v)->iov_len -= take;
        if ((*v)->iov_len == 0)
            ++*v, --*n;
    }
    return have;
}

/* The next pieces; `*left` of them have not been taken when it fails, nor has what remains in the array. */
static err_t write_some(struct stream_tls *t, struct iovec **v, int *n, size_t *left, tick until)
{
    if (*n == 1 || (*v)->iov_len >= RECORD) {
        const char *p = (*v)->iov_base;
        *left = (*v)->iov_len;
        ++*v, --*n;
        return write_all(t, p, left, until);
    }
    TRY(gather_get());
    *left = gather_fill(v, n);
    return write_all(t, gather, left, until);
}

static err_t tls_writev(struct stream *s, struct iovec *v, int n, tick until)
{
    size_t left = 0;
    err_t e = NULL;
    while (n && !e)
        e = write_some(tls_of(s), &v, &n, &left, until);
    if (e)
        for (io_left = left; n; n--)
            io_left += v++->iov_len;
    return e;
}

/* close_notify, without waiting for the other side's; then the end of what is below. */
static err_t tls_finish(struct stream *s, tick until)
{
    struct stream_tls *t = tls_of(s);
    while (!t->finished && !t->failed) {
        ERR_clear_error();
        int n = FOREIGN(SSL_shutdown(t->ssl));
        if (n >= 0)
            t->finished = true;
        else
            TRY(again(t, n, "", until));
    }
    TRY(pipe_flush(t, until));
    return stream_finish(s->below, until);
}

static void pipe_free(struct pipe *p)
{
    if (p) {
        buf_free(&p->in);
        buf_free(&p->out);
    }
    free(p);
}

static void tls_close(struct stream *s)
{
    struct stream_tls *t = tls_of(s);
    /* Say goodbye if that needs no waiting: otherwise the other side must take the end for a cut. */
    if (t->ssl && !t->failed && !t->finished && SSL_is_init_finished(t->ssl) && !t->pipe)
        (void)FOREIGN(SSL_shutdown(t->ssl));
    ERR_clear_error();
    SSL_free(t->ssl);
    pipe_free(t->pipe);
    stream_close(s->below);
    tls_unref(t->tls);
    free(t->peer);
    free(t);
}

static bool tls_pending(const struct stream *s)
{
    const struct stream_tls *t = (const struct stream_tls *)s;
    return SSL_has_pending(t->ssl) || (t->pipe && t->pipe->in.n) || stream_pending(s->below);
}

static int tls_fd(const struct stream *s)
{
    return stream_fd(s->below);
}

static const struct stream_ops ops = {
    .name = "tls",
    .read = tls_read,
    .writev = tls_writev,
    .finish = tls_finish,
    .close = tls_close,
    .pending = tls_pending,
    .fd = tls_fd,
};

/* -- handshakes -- */

static err_t stream_new(struct stream *below, struct tls *tls, struct stream_tls **out)
{
    struct stream_tls *t = calloc(1, sizeof *t);
    struct tls_peer *peer = calloc(1, sizeof *peer);
    struct pipe *pipe = NULL;
    int fd = stream_tcp_plain(below);
    if (!t || !peer || (fd < 0 && !(pipe = calloc(1, sizeof *pipe)))) {
        free(t);
        free(peer);
        stream_close(below);
        return E_NO_MEMORY;
    }
    *t = (struct stream_tls){.stream = {&ops, below}, .fd = fd, .pipe = pipe, .tls = tls_ref(tls), .peer = peer};
    peer->tls = tls;
    waitq_init(&t->turn);
    if (pipe)
        waitq_init(&pipe->moved);
    *out = t;
    BIO *bio = bio_new(t);
    t->ssl = SSL_new(tls->ctx[0]);
    if (!bio || !t->ssl) {
        BIO_free(bio);
        return tls_fault(E_NO_MEMORY, "OpenSSL");
    }
    SSL_set_bio(t->ssl, bio, bio);
    tls_peer_set(t->ssl, peer);
    return NULL;
}

static err_t handshake(struct stream_tls *t, tick until)
{
    for (;;) {
        ERR_clear_error();
        int n = FOREIGN(SSL_do_handshake(t->ssl));
        if (n == 1)
            return pipe_flush(t, until);
        err_t e = again(t, n, "TLS handshake: ", until);
        if (e == E_TLS || e == E_EOF)
            (void)!pipe_flush(t, until); /* the alert that tells the other side */
        if (e && *t->peer->why)
            return fault(E_CERT, "%s", t->peer->why);
        if (e == E_TIMEOUT)
            return fault(e, "TLS handshake");
        TRY(e);
    }
}

static err_t stream_tls(struct stream *below, struct tls *tls, struct slice host, struct stream **out, tick until)
{
    struct stream_tls *t;
    TRY(stream_new(below, tls, &t));
    err_t e = NULL;
    if (tls->server) {
        SSL_set_accept_state(t->ssl);
    } else {
        SSL_set_connect_state(t->ssl);
        e = tls_verify_host(t->ssl, host);
        if (!e && slice_to_z(host, t->peer->host, sizeof t->peer->host))
            tls_session_offer(tls, t->ssl, t->peer->host);
    }
    if (!e)
        e = handshake(t, until);
    if (e) {
        t->failed = true;
        stream_close(&t->stream);
        return e;
    }
    if (tls->server) { /* it served the handshake; half a KiB that an idle connection need not keep */
        tls_peer_set(t->ssl, NULL);
        free(t->peer);
        t->peer = NULL;
    }
    *out = &t->stream;
    return NULL;
}

err_t stream_tls_client(struct stream *below, struct tls *tls, struct slice host, struct stream **out, tick until)
{
    CHECK(!tls->server);
    return stream_tls(below, tls, host, out, until);
}

err_t stream_tls_server(struct stream *below, struct tls *tls, struct stream **out, tick until)
{
    CHECK(tls->server);
    return stream_tls(below, tls, SLICE_NONE, out, until);
}

SSL *tls_ssl_of(const struct stream *s)
{
    while (s && s->ops != &ops)
        s = s->below;
    return s ? ((const struct stream_tls *)s)->ssl : NULL;
}
