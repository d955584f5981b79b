/* SPDX-License-Identifier: MIT */
/*
 * stream.h -- a two-way flow of bytes. TCP, TLS, one HTTP/2 stream, a trace and memory all look like this.
 *
 * A constructor that takes `below` takes it over: closing the upper stream closes the lower one. One fiber may
 * read while another writes. A read of 0 bytes is the end of the stream; writes are all or error, and io_left (rt/io.h)
 * says then how much of one was not taken.
 */
#pragma once

#include <sys/uio.h>

#include "base/buf.h"
#include "base/clock.h"

struct stream;
struct stream_ops {
    const char *name;
    err_t (*read)(struct stream *, void *, size_t cap, size_t *got, tick until);
    err_t (*writev)(struct stream *, struct iovec *, int n, tick until);
    err_t (*writev_soon)(struct stream *, struct iovec *, int n, tick until);              /* NULL: writev */
    err_t (*writev_last)(struct stream *, struct iovec *, int n, tick until);              /* NULL: writev */
    err_t (*send_file)(struct stream *, int file, uint64_t off, uint64_t len, tick until); /* NULL: pread and write */
    err_t (*send_pages)(struct stream *, struct iovec *before, int count, struct slice, tick until); /* NULL: writev */
    err_t (*finish)(struct stream *, tick until); /* FIN, close_notify, END_STREAM */
    void (*close)(struct stream *);               /* never suspends; frees; closes below too */
    bool (*pending)(const struct stream *);       /* readable without the kernel? then do not park. NULL: never */
    int (*fd)(const struct stream *);             /* -1 when there is none */
    err_t (*wait)(struct stream *, tick until);   /* until a read may give something. NULL: reading has to wait */
};
struct stream {
    const struct stream_ops *ops;
    struct stream *below;
};

MUST err_t stream_read(struct stream *, void *, size_t cap, size_t *got, tick until);
/* Wait until reading is worth while, so that memory for it need not be held before; may return early. */
MUST err_t stream_wait(struct stream *, tick until);
/* As stream_read where at least `cap` more bytes are announced and throughput counts, see io_read_bulk. */
MUST err_t stream_read_bulk(struct stream *, void *, size_t cap, size_t *got, tick until);
MUST err_t stream_write(struct stream *, struct slice, tick until);
MUST err_t stream_writev(struct stream *, struct iovec *, int n, tick until); /* uses up the iovec array */
/* The same for small pieces that may leave a little later, with others: see io_writev_soon. */
MUST err_t stream_writev_soon(struct stream *, struct iovec *, int n, tick until);
/* The same when stream_finish or stream_close comes next: over TCP the end then needs no packet of its own. */
MUST err_t stream_writev_last(struct stream *, struct iovec *, int n, tick until);
MUST err_t stream_send_file(struct stream *, int file, uint64_t off, uint64_t len, tick until);
/* Memory as base/pages.h makes it: without a copy where the layers allow it; in front of it small pieces, if any. */
MUST err_t stream_send_pages(struct stream *, struct iovec *before, int count, struct slice, tick until);
MUST err_t stream_finish(struct stream *, tick until);
void stream_close(struct stream *); /* NULL is accepted */
/* From now on closing means RST, not FIN: where an end would be taken for the end of the message. */
void stream_break(struct stream *);
bool stream_pending(const struct stream *);
int stream_fd(const struct stream *);

/* At least one more byte into the buffer, or E_EOF. Takes what one read gives, at most `most` bytes. */
MUST err_t stream_fill(struct stream *, struct buf *, size_t most, tick until);
/* The next line without its CRLF or LF; the caller eats `*took` bytes from the buffer when done with it.
   E_EOF at a clean end, E_TRUNCATED inside a line, E_TOO_LARGE past the buffer's max. */
MUST err_t stream_line(struct stream *, struct buf *, struct slice *line, size_t *took, tick until);
/* One direction of bytes that pass through. */
struct stream_flow {
    uint64_t moved;  /* bytes so far */
    int64_t idle_ms; /* patience with a write, and with reads while nothing moves; negative: any time */
    tick *active;    /* when bytes moved last; a tunnel's directions share it, so that a one-way flow is not idle */
};
/* Until the end of `from`. Between two plain TCP streams bulk data goes by splice(2) and never enters this process. */
MUST err_t stream_copy(struct stream *to, struct stream *from, struct stream_flow *);
/* For a read of such a flow: until when. One that timed out is tried again while this lies ahead. */
tick stream_flow_until(const struct stream_flow *);
void stream_flow_moved(struct stream_flow *, size_t n);

/* Over a connected non-blocking socket, which it takes over. */
struct stream_tcp {
    struct stream stream;
    int fd;
};
void stream_tcp_init(struct stream_tcp *, int fd); /* embedded: close() closes the fd and frees nothing */
MUST err_t stream_tcp(int fd, struct stream **);   /* E_NO_MEMORY; then the fd is closed */

int stream_tcp_plain(const struct stream *); /* the descriptor of a bare stream_tcp; -1 for anything else */
/* Move bytes from socket to socket until the end, through a pipe; E_UNSUPPORTED, with nothing moved, when there is no
   pipe to be had. For stream_copy. */
MUST err_t stream_tcp_splice(int to, int from, struct stream_flow *);

/* Tests: reads come from `input` in pieces of at most `chunk` bytes, writes land in `output`. */
struct stream_mem {
    struct stream stream;
    struct slice input;
    size_t chunk; /* 0: no bound */
    struct buf output;
    bool finished, closed;
};
void stream_mem_init(struct stream_mem *, struct slice input, size_t chunk);
