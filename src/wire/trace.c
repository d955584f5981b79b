/* SPDX-License-Identifier: MIT */
#include "wire/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "wire/dialogue.h"

struct trace_sink {
    int fd;
    bool secrets;
    tick start;
    atomic_uint connections;
};
enum first { NOBODY, WE, THEY, RESET };
struct trace {
    struct stream stream;
    struct trace_sink *sink;
    char we, they;
    unsigned number; /* of the connection, 1 the first */
    enum first first;
    struct dialogue talk;
};

err_t trace_open(const char *path, bool secrets, struct trace_sink **out)
{
    struct trace_sink *s = calloc(1, sizeof *s);
    if (!s)
        return E_NO_MEMORY;
    s->fd = STDERR_FILENO;
    if (path && *path && strcmp(path, "-") != 0)
        s->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
    if (s->fd < 0) {
        err_t e = fault(err_errno(errno), "%s", path);
        free(s);
        return e;
    }
    s->secrets = secrets;
    s->start = clock_now();
    atomic_init(&s->connections, 0);
    *out = s;
    return NULL;
}

void trace_close(struct trace_sink *s)
{
    if (s && s->fd != STDERR_FILENO)
        close(s->fd);
    free(s);
}

/* One write a line keeps lines of several threads whole. */
static void line(struct trace_sink *s, unsigned number, const char *mark, const char *text)
{
    char out[2048], which[16] = "";
    if (number > 1)
        snprintf(which, sizeof which, "#%u ", number);
    int n = snprintf(out, sizeof out - 1, "%.6f %s%s %s", (double)(clock_now() - s->start) / 1e9, which, mark, text);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof out - 1 ? (size_t)n : sizeof out - 2;
    out[len++] = '\n';
    while (write(s->fd, out, len) < 0 && errno == EINTR)
        ;
}

static void formatted(struct trace_sink *s, const char *mark, const char *fmt, va_list ap)
{
    char raw[1024], text[2000];
    int n = vsnprintf(raw, sizeof raw, fmt, ap);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof raw ? (size_t)n : sizeof raw - 1;
    text_safe(slice_of(raw, len), text, sizeof text);
    line(s, 0, mark, text);
}

void trace_note(struct trace_sink *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (s)
        formatted(s, "--", fmt, ap);
    va_end(ap);
}

void trace_line(struct trace_sink *s, char who, const char *fmt, ...)
{
    const char mark[] = {who, ':', 0};
    va_list ap;
    va_start(ap, fmt);
    if (s)
        formatted(s, mark, fmt, ap);
    va_end(ap);
}

/* -- the stream -- */

static void emit(void *arg, char who, const char *text)
{
    const struct trace *t = arg;
    const char mark[] = {who, ':', 0};
    line(t->sink, t->number, mark, text);
}

static struct trace *trace_of(struct stream *s)
{
    return (struct trace *)s;
}

static void failed(struct trace *t, err_t e)
{
    if (e == E_RESET && t->first == NOBODY)
        t->first = RESET;
}

static err_t trace_read(struct stream *s, void *p, size_t cap, size_t *got, tick until)
{
    struct trace *t = trace_of(s);
    err_t e = stream_read(s->below, p, cap, got, until);
    if (e) {
        failed(t, e);
        return e;
    }
    if (*got)
        dialogue_feed(&t->talk, t->they, slice_of(p, *got));
    else if (t->first == NOBODY)
        t->first = THEY;
    return NULL;
}

static err_t trace_writev(struct stream *s, struct iovec *v, int n, tick until)
{
    struct trace *t = trace_of(s);
    for (int i = 0; i < n; i++)
        dialogue_feed(&t->talk, t->we, slice_of(v[i].iov_base, v[i].iov_len));
    err_t e = stream_writev(s->below, v, n, until);
    failed(t, e);
    return e;
}

static err_t trace_send_file(struct stream *s, int file, uint64_t off, uint64_t len, tick until)
{
    struct trace *t = trace_of(s);
    dialogue_skip(&t->talk, t->we, len);
    err_t e = stream_send_file(s->below, file, off, len, until);
    failed(t, e);
    return e;
}

static err_t trace_finish(struct stream *s, tick until)
{
    struct trace *t = trace_of(s);
    if (t->first == NOBODY)
        t->first = WE;
    return stream_finish(s->below, until);
}

/* The kernel knows of an end that nobody has read yet. CLOSE_WAIT: theirs came first. */
static enum first ask_kernel(int fd, int *unread)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
        return WE;
    if (ioctl(fd, FIONREAD, unread) < 0)
        *unread = 0;
    return info.tcpi_state == TCP_CLOSE_WAIT || info.tcpi_state == TCP_LAST_ACK ? THEY
           : info.tcpi_state == TCP_CLOSE                                       ? RESET
                                                                                : WE;
}

static void tell_end(struct trace *t)
{
    char text[128];
    int unread = 0;
    enum first now_first = ask_kernel(stream_fd(&t->stream), &unread);
    if (t->first == NOBODY)
        t->first = now_first;
    char who = t->first == WE ? t->we : t->they;
    if (t->first == RESET)
        snprintf(text, sizeof text, "%c reset the connection; no TIME_WAIT", who);
    else if (unread > 0)
        snprintf(text, sizeof text, "%c closed with %d bytes unread, which resets the connection; no TIME_WAIT", t->we,
                 unread);
    else
        snprintf(text, sizeof text, "%c closed first; TIME_WAIT stays on %c", who, who);
    line(t->sink, t->number, "--", text);
}

static void trace_stream_close(struct stream *s)
{
    struct trace *t = trace_of(s);
    dialogue_end(&t->talk);
    tell_end(t);
    stream_close(s->below);
    free(t);
}

static bool trace_pending(const struct stream *s)
{
    return stream_pending(s->below);
}

static int trace_fd(const struct stream *s)
{
    return stream_fd(s->below);
}

static const struct stream_ops ops = {
    .name = "trace",
    .read = trace_read,
    .writev = trace_writev,
    .send_file = trace_send_file,
    .finish = trace_finish,
    .close = trace_stream_close,
    .pending = trace_pending,
    .fd = trace_fd,
};

struct stream *stream_trace(struct stream *below, struct trace_sink *sink, char we, enum trace_kind kind)
{
    static const enum dialogue_kind kinds[] = {
        [TRACE_HTTP] = DIALOGUE_HTTP, [TRACE_LINES] = DIALOGUE_LINES, [TRACE_BINARY] = DIALOGUE_BINARY};
    struct trace *t = sink ? malloc(sizeof *t) : NULL;
    if (!t)
        return below; /* without memory the dialogue goes untraced, which is better than not at all */
    t->stream = (struct stream){&ops, below};
    t->sink = sink;
    t->we = we;
    t->they = we == 'C' ? 'S' : 'C';
    t->number = atomic_fetch_add(&sink->connections, 1) + 1;
    t->first = NOBODY;
    dialogue_init(&t->talk, kinds[kind], sink->secrets, emit, t);
    return &t->stream;
}

void trace_secret(struct stream *s, bool on)
{
    while (s && s->ops != &ops)
        s = s->below;
    if (s)
        trace_of(s)->talk.masked = on ? trace_of(s)->we : 0;
}

struct stream *trace_lift(struct stream *s, struct trace **t)
{
    *t = s->ops == &ops ? trace_of(s) : NULL;
    return *t ? s->below : s;
}

struct stream *trace_lower(struct trace *t, struct stream *below)
{
    if (!t)
        return below;
    if (!below) {
        dialogue_end(&t->talk);
        free(t);
        return NULL;
    }
    t->stream.below = below;
    return &t->stream;
}
