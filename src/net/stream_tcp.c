/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/stream.h"
#include "rt/io.h"
#include "rt/loop.h"

enum { SPLICE_STEP = 1 << 20 };

static int fd_of(const struct stream *s)
{
    return ((const struct stream_tcp *)s)->fd;
}

static err_t tcp_read(struct stream *s, void *p, size_t cap, size_t *got, tick until)
{
    return io_read(fd_of(s), p, cap, got, until);
}

static err_t tcp_wait(struct stream *s, tick until)
{
    return io_wait(fd_of(s), IO_READ, until);
}

static err_t tcp_writev(struct stream *s, struct iovec *v, int n, tick until)
{
    return io_writev(fd_of(s), v, n, until);
}

static err_t tcp_writev_soon(struct stream *s, struct iovec *v, int n, tick until)
{
    return io_writev_soon(fd_of(s), v, n, until);
}

static err_t tcp_writev_last(struct stream *s, struct iovec *v, int n, tick until)
{
    return io_writev_last(fd_of(s), v, n, until);
}

static err_t tcp_send_file(struct stream *s, int file, uint64_t off, uint64_t len, tick until)
{
    return io_send_file(fd_of(s), file, off, len, until);
}

static err_t tcp_send_pages(struct stream *s, struct iovec *before, int count, struct slice bytes, tick until)
{
    return io_send_pages(fd_of(s), before, count, bytes.p, bytes.n, until);
}

static err_t tcp_finish(struct stream *s, tick until)
{
    TRY(io_settle(fd_of(s), until));
    io_finish(fd_of(s));
    return NULL;
}

static void tcp_close(struct stream *s)
{
    io_close_soon(fd_of(s));
}

static void tcp_close_and_free(struct stream *s)
{
    io_close_soon(fd_of(s));
    free(s);
}

#define TCP_OPS(close_fn)                                                                                              \
    {                                                                                                                  \
        .name = "tcp", .read = tcp_read, .writev = tcp_writev, .writev_soon = tcp_writev_soon,                         \
        .writev_last = tcp_writev_last, .send_file = tcp_send_file, .send_pages = tcp_send_pages,                      \
        .finish = tcp_finish, .close = (close_fn), .fd = fd_of, .wait = tcp_wait,                                      \
    }
static const struct stream_ops embedded_ops = TCP_OPS(tcp_close);
static const struct stream_ops owned_ops = TCP_OPS(tcp_close_and_free);

void stream_tcp_init(struct stream_tcp *t, int fd)
{
    *t = (struct stream_tcp){.stream.ops = &embedded_ops, .fd = fd};
}

err_t stream_tcp(int fd, struct stream **out)
{
    struct stream_tcp *t = malloc(sizeof *t);
    if (!t) {
        io_close(fd);
        return E_NO_MEMORY;
    }
    *t = (struct stream_tcp){.stream.ops = &owned_ops, .fd = fd};
    *out = &t->stream;
    return NULL;
}

int stream_tcp_plain(const struct stream *s)
{
    return s->ops == &embedded_ops || s->ops == &owned_ops ? fd_of(s) : -1;
}

static err_t pump(int to, int from, const int pipe_ends[2], struct stream_flow *f)
{
    for (;;) {
        size_t in, out;
        err_t e = io_splice(from, pipe_ends[1], SPLICE_STEP, &in, stream_flow_until(f));
        if (e == E_TIMEOUT && stream_flow_until(f) > now())
            continue; /* the other direction moves */
        TRY(e);
        if (in == 0)
            return NULL;
        for (; in; in -= out) {
            TRY(io_splice(pipe_ends[0], to, in, &out, after(f->idle_ms)));
            stream_flow_moved(f, out);
        }
    }
}

err_t stream_tcp_splice(int to, int from, struct stream_flow *f)
{
    int ends[2];
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0)
        return E_UNSUPPORTED;
    /* A wider pipe means fewer turns; users with many pipes may be refused it, which does not matter. */
    (void)fcntl(ends[1], F_SETPIPE_SZ, SPLICE_STEP);
    err_t e = pump(to, from, ends, f);
    io_close(ends[0]);
    io_close(ends[1]);
    return e;
}
