/* SPDX-License-Identifier: MIT */
#include "net/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "rt/io.h"
#include "rt/loop.h"
#include "rt/sys.h"

enum {
    FILE_PIECE = 64 << 10,
    COPY_PIECE = 16 << 10, /* a TLS record; also small enough for a tunnel that mostly idles */
    LINE_STEP = 4096,      /* what stream_line asks for at a time */
};

err_t stream_read(struct stream *s, void *p, size_t cap, size_t *got, tick until)
{
    CHECK(cap > 0); /* a read into nothing would look like the end */
    return s->ops->read(s, p, cap, got, until);
}

err_t stream_wait(struct stream *s, tick until)
{
    return s->ops->wait ? s->ops->wait(s, until) : NULL;
}

err_t stream_read_bulk(struct stream *s, void *p, size_t cap, size_t *got, tick until)
{
    int fd = stream_tcp_plain(s);
    return fd >= 0 ? io_read_bulk(fd, p, cap, got, until) : stream_read(s, p, cap, got, until);
}

err_t stream_writev(struct stream *s, struct iovec *v, int n, tick until)
{
    return s->ops->writev(s, v, n, until);
}

err_t stream_writev_soon(struct stream *s, struct iovec *v, int n, tick until)
{
    return (s->ops->writev_soon ? s->ops->writev_soon : s->ops->writev)(s, v, n, until);
}

err_t stream_writev_last(struct stream *s, struct iovec *v, int n, tick until)
{
    return (s->ops->writev_last ? s->ops->writev_last : s->ops->writev)(s, v, n, until);
}

err_t stream_write(struct stream *s, struct slice bytes, tick until)
{
    struct iovec v = {(void *)(uintptr_t)bytes.p, bytes.n};
    return bytes.n ? s->ops->writev(s, &v, 1, until) : NULL;
}

void stream_break(struct stream *s)
{
    static const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    int fd = stream_fd(s);
    if (fd >= 0)
        (void)sys_setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

static err_t file_piece(int file, char *p, size_t n, uint64_t off, size_t *got)
{
    ssize_t k;
    do
        k = pread(file, p, n, (off_t)off);
    while (k < 0 && errno == EINTR);
    if (k < 0)
        return err_errno(errno);
    *got = (size_t)k;
    return k ? NULL : E_TRUNCATED;
}

static err_t file_by_memory(struct stream *s, int file, uint64_t off, uint64_t len, tick until)
{
    size_t cap = len < FILE_PIECE ? (size_t)len : FILE_PIECE, got = 0;
    char *p = malloc(cap ? cap : 1);
    err_t e = p ? NULL : E_NO_MEMORY;
    for (; !e && len; off += got, len -= got) {
        uint64_t left = len;
        e = file_piece(file, p, len < cap ? (size_t)len : cap, off, &got);
        if (!e) {
            e = stream_write(s, slice_of(p, got), until);
            left = len - got + io_left;
        }
        if (e)
            io_left = left;
    }
    free(p);
    return e;
}

err_t stream_send_file(struct stream *s, int file, uint64_t off, uint64_t len, tick until)
{
    return s->ops->send_file ? s->ops->send_file(s, file, off, len, until) : file_by_memory(s, file, off, len, until);
}

err_t stream_send_pages(struct stream *s, struct iovec *before, int count, struct slice bytes, tick until)
{
    if (s->ops->send_pages)
        return s->ops->send_pages(s, before, count, bytes, until);
    err_t e = stream_writev(s, before, count, until);
    if (e)
        io_left += bytes.n;
    return e ? e : stream_write(s, bytes, until);
}

err_t stream_finish(struct stream *s, tick until)
{
    return s->ops->finish(s, until);
}

void stream_close(struct stream *s)
{
    if (s)
        s->ops->close(s);
}

bool stream_pending(const struct stream *s)
{
    return s->ops->pending && s->ops->pending(s);
}

int stream_fd(const struct stream *s)
{
    return s->ops->fd(s);
}

err_t stream_fill(struct stream *s, struct buf *b, size_t most, tick until)
{
    size_t room = (b->max ? b->max : BUF_MAX) - b->n, got = 0;
    if (most > room)
        most = room;
    char *at;
    if (most == 0)
        return E_TOO_LARGE;
    TRY(buf_room(b, most, &at));
    TRY(stream_read(s, at, most, &got, until));
    b->n += got;
    return got ? NULL : E_EOF;
}

err_t stream_line(struct stream *s, struct buf *b, struct slice *line, size_t *took, tick until)
{
    size_t looked = 0, end;
    while ((end = slice_find(buf_slice(b), '\n', looked)) == SIZE_MAX) {
        looked = b->n;
        err_t e = stream_fill(s, b, LINE_STEP, until);
        if (e)
            return e == E_EOF && b->n ? E_TRUNCATED : e;
    }
    *took = end + 1;
    *line = slice_of(b->p, end && b->p[end - 1] == '\r' ? end - 1 : end);
    return NULL;
}

tick stream_flow_until(const struct stream_flow *f)
{
    return f->idle_ms < 0 ? TICK_NEVER : *f->active + f->idle_ms * TICK_MS;
}

void stream_flow_moved(struct stream_flow *f, size_t n)
{
    f->moved += n;
    *f->active = now();
}

/* Through memory until the end, or until a read fills the whole piece while `*bulk` asks to be told of that. */
static err_t copy_by_memory(struct stream *to, struct stream *from, struct stream_flow *f, bool *bulk)
{
    char *p = malloc(COPY_PIECE);
    size_t got;
    err_t e = p ? NULL : E_NO_MEMORY;
    bool look = *bulk;
    *bulk = false;
    while (!e && !*bulk) {
        do
            e = stream_read(from, p, COPY_PIECE, &got, stream_flow_until(f));
        while (e == E_TIMEOUT && stream_flow_until(f) > now()); /* the other direction moves */
        if (e || got == 0)
            break;
        e = stream_write(to, slice_of(p, got), after(f->idle_ms));
        if (!e)
            stream_flow_moved(f, got);
        *bulk = look && got == COPY_PIECE;
    }
    free(p);
    return e;
}

err_t stream_copy(struct stream *to, struct stream *from, struct stream_flow *f)
{
    int in = stream_tcp_plain(from), out = stream_tcp_plain(to);
    bool bulk = in >= 0 && out >= 0, none = false;
    TRY(copy_by_memory(to, from, f, &bulk));
    if (!bulk)
        return NULL;
    err_t e = stream_tcp_splice(out, in, f);
    /* No pipe to be had: carry on as before. */
    return e == E_UNSUPPORTED ? copy_by_memory(to, from, f, &none) : e;
}
