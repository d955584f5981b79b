/* SPDX-License-Identifier: MIT */
#include "base/check.h"
#include "net/stream.h"

static err_t mem_read(struct stream *s, void *p, size_t cap, size_t *got, tick until)
{
    (void)until;
    struct stream_mem *m = (struct stream_mem *)s;
    size_t n = m->chunk && m->chunk < cap ? m->chunk : cap;
    struct slice piece = slice_first(m->input, n);
    if (piece.n)
        memcpy(p, piece.p, piece.n);
    m->input = slice_from(m->input, piece.n);
    *got = piece.n;
    return NULL;
}

static err_t mem_writev(struct stream *s, struct iovec *v, int n, tick until)
{
    (void)until;
    struct stream_mem *m = (struct stream_mem *)s;
    CHECK(!m->finished && !m->closed); /* writing after the end is the caller's bug */
    for (int i = 0; i < n; i++)
        TRY(buf_add(&m->output, slice_of(v[i].iov_base, v[i].iov_len)));
    return NULL;
}

static err_t mem_finish(struct stream *s, tick until)
{
    (void)until;
    ((struct stream_mem *)s)->finished = true;
    return NULL;
}

static void mem_close(struct stream *s)
{
    ((struct stream_mem *)s)->closed = true;
}

static bool mem_pending(const struct stream *s)
{
    return ((const struct stream_mem *)s)->input.n > 0;
}

static int mem_fd(const struct stream *s)
{
    (void)s;
    return -1;
}

void stream_mem_init(struct stream_mem *m, struct slice input, size_t chunk)
{
    static const struct stream_ops ops = {
        .name = "mem",
        .read = mem_read,
        .writev = mem_writev,
        .finish = mem_finish,
        .close = mem_close,
        .pending = mem_pending,
        .fd = mem_fd,
    };
    *m = (struct stream_mem){.stream.ops = &ops, .input = input, .chunk = chunk};
}
