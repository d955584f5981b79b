/* SPDX-License-Identifier: MIT */
#include "smtp/message.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "smtp/base64_lines.h"

enum { OUT_SIZE = MESSAGE_READ / BASE64_LINE_IN * BASE64_LINE_OUT + 256 };

void message_reader_start(struct message_reader *r, const struct mime_message *m)
{
    *r = (struct message_reader){.message = m};
    if (m->n)
        r->encoder = m->v[0].encoder;
}

void message_reader_done(struct message_reader *r)
{
    free(r->in);
    free(r->out);
    r->in = r->out = NULL;
}

/* Exactly `n` bytes of the file at `at`. */
static err_t read_file(int fd, char *out, size_t n, uint64_t at)
{
    while (n) {
        ssize_t got = pread(fd, out, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fault(err_errno(errno), "reading a file to be sent");
        if (got == 0)
            return fault(E_CHANGED, "a file to be sent became shorter");
        out += got, n -= (size_t)got, at += (uint64_t)got;
    }
    return NULL;
}

static err_t source_bytes(const struct mime_content *c, char *buffer, size_t n, uint64_t at, struct slice *out)
{
    if (c->fd >= 0) {
        TRY(read_file(c->fd, buffer, n, c->from + at));
        *out = slice_of(buffer, n);
    } else {
        *out = slice_of(c->bytes.p + at, n);
    }
    return NULL;
}

static void next_piece(struct message_reader *r)
{
    r->piece++;
    r->at = 0;
    if (r->piece < r->message->n)
        r->encoder = r->message->v[r->piece].encoder;
}

/* Encode the next bytes of the current piece into r->out. */
static err_t encode_some(struct message_reader *r, struct slice *chunk)
{
    const struct mime_piece *p = &r->message->v[r->piece];
    if (!r->in && (!(r->in = malloc(MESSAGE_READ)) || !(r->out = malloc(OUT_SIZE))))
        return E_NO_MEMORY;
    bool plain_base64 = r->encoder.how == MIME_BASE64 && !r->encoder.lf;
    size_t most = plain_base64 ? MESSAGE_READ : MESSAGE_TEXT_READ;
    uint64_t left = p->content.size - r->at;
    size_t n = left < most ? (size_t)left : most;
    struct slice in;
    TRY(source_bytes(&p->content, r->in, n, r->at, &in));
    r->at += n;
    bool end = r->at == p->content.size;
    *chunk = slice_of(r->out, mime_encode(&r->encoder, in, end, r->out));
    if (end)
        next_piece(r);
    return NULL;
}

err_t message_reader_next(struct message_reader *r, struct slice *chunk, bool *no_dots)
{
    *chunk = SLICE_NONE;
    while (chunk->n == 0 && r->piece < r->message->n) {
        const struct mime_piece *p = &r->message->v[r->piece];
        *no_dots = p->no_dots;
        if (p->literal) {
            *chunk = p->content.bytes;
            next_piece(r);
        } else {
            TRY(encode_some(r, chunk));
        }
    }
    return NULL;
}

/* Run one piece through its encoder for its length alone. */
static err_t measure_piece(struct mime_piece *p)
{
    struct mime_message one = {.v = p, .n = 1};
    struct message_reader r;
    struct slice chunk;
    uint64_t size = 0;
    bool no_dots;
    message_reader_start(&r, &one);
    err_t e;
    while (!(e = message_reader_next(&r, &chunk, &no_dots)) && chunk.n)
        size += chunk.n;
    message_reader_done(&r);
    if (!e)
        p->size = size;
    return e;
}

err_t message_measure(struct mime_message *m)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < m->n; i++) {
        if (m->v[i].size == UINT64_MAX)
            TRY(measure_piece(&m->v[i]));
        sum += m->v[i].size;
    }
    m->size = sum;
    return NULL;
}

err_t content_scan(const struct mime_content *c, struct mime_scan *scan)
{
    enum { STEP = 32 * 1024 };
    char *buffer = c->fd >= 0 ? malloc(STEP) : NULL;
    err_t e = c->fd >= 0 && !buffer ? E_NO_MEMORY : NULL;
    *scan = (struct mime_scan){0};
    for (uint64_t at = 0; !e && at < c->size;) {
        size_t n = c->size - at < STEP ? (size_t)(c->size - at) : STEP;
        struct slice s = SLICE_NONE;
        e = source_bytes(c, buffer, n, at, &s);
        if (!e)
            mime_scan_add(scan, s);
        at += n;
    }
    free(buffer);
    mime_scan_end(scan);
    return e;
}
