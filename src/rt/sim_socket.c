/* SPDX-License-Identifier: MIT */
/* sim_socket.c -- the simulator's sockets: connections, bytes on their way, ends. */
#include <errno.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "base/check.h"
#include "rt/sim_world.h"
#include "rt/sys.h"

/* ---- Sockets ---- */

static struct sock *sock_new(void)
{
    for (int i = 0; i < SOCKETS; i++)
        if (sim_socks[i].state == UNUSED) {
            sim_socks[i] = (struct sock){.state = FRESH, .window = sim_world.window};
            list_init(&sim_socks[i].incoming);
            return &sim_socks[i];
        }
    errno = EMFILE;
    return NULL;
}

int sys_socket(int family, int type)
{
    (void)family;
    CHECK((type & 0xf) == SOCK_STREAM);
    struct sock *s = sim_fails() ? NULL : sock_new();
    return s ? sim_fd_of(s) : -1;
}

static bool is_any(const struct addr *a)
{
    return a->sa.sa_family == AF_INET ? a->v4.sin_addr.s_addr == INADDR_ANY : IN6_IS_ADDR_UNSPECIFIED(&a->v6.sin6_addr);
}

static struct sock *listener_at(const struct addr *a)
{
    for (int i = 0; i < SOCKETS; i++) {
        const struct addr *local = &sim_socks[i].local;
        if (sim_socks[i].state == LISTENER && addr_port(local) == addr_port(a) &&
            (is_any(local) || addr_eq_host(local, a)))
            return &sim_socks[i];
    }
    return NULL;
}

int sys_bind(int fd, const struct sockaddr *sa, socklen_t len)
{
    struct sock *s = sim_sock_of(fd);
    if (sim_fails())
        return -1;
    memcpy(&s->local.sa, sa, len);
    s->local.len = len;
    if (addr_port(&s->local) == 0)
        addr_set_port(&s->local, sim_world.next_port++);
    if (listener_at(&s->local)) {
        errno = EADDRINUSE;
        return -1;
    }
    return 0;
}

int sys_listen(int fd, int backlog)
{
    (void)backlog;
    if (sim_fails())
        return -1;
    sim_sock_of(fd)->state = LISTENER;
    return 0;
}

int sys_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    (void)fd, (void)level, (void)name, (void)value, (void)len;
    return sim_fails() ? -1 : 0;
}

int sys_getsockname(int fd, struct sockaddr *sa, socklen_t *len)
{
    struct sock *s = sim_sock_of(fd);
    memcpy(sa, &s->local.sa, s->local.len < *len ? s->local.len : *len);
    *len = s->local.len;
    return 0;
}

static bool is_dark(const struct addr *a)
{
    bool dark = sim_world.blackhole[addr_port(a)];
    for (int i = 0; i < sim_world.dark_count; i++)
        dark |= addr_eq_host(a, &sim_world.dark[i]);
    return dark;
}

int sys_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
    struct sock *s = sim_sock_of(fd);
    if (sim_fails())
        return -1;
    memcpy(&s->remote.sa, sa, len);
    s->remote.len = len;
    struct sock *l = listener_at(&s->remote);
    if (is_dark(&s->remote)) {
        s->state = CONNECTING;
        errno = EINPROGRESS;
        return -1;
    }
    struct sock *far = l && l->waiting < BACKLOG ? sock_new() : NULL;
    if (!far) {
        errno = ECONNREFUSED;
        return -1;
    }
    if (s->local.len == 0 && addr_parse(S("127.0.0.1"), sim_world.next_port++, &s->local))
        UNREACHABLE();
    far->state = s->state = CONNECTED;
    far->local = s->remote;
    far->remote = s->local;
    far->peer = s;
    s->peer = far;
    l->backlog[l->waiting++] = sim_fd_of(far);
    sim_edge(l);
    return 0;
}

int sys_connect_result(int fd)
{
    return sim_sock_of(fd)->state == CONNECTED ? 0 : ECONNREFUSED;
}

int sys_accept(int fd, struct sockaddr *sa, socklen_t *len)
{
    struct sock *l = sim_sock_of(fd);
    if (sim_fails())
        return -1;
    if (l->waiting == 0) {
        errno = EAGAIN;
        return -1;
    }
    int got = l->backlog[0];
    memmove(l->backlog, l->backlog + 1, (size_t)--l->waiting * sizeof *l->backlog);
    struct sock *s = sim_sock_of(got);
    memcpy(sa, &s->remote.sa, s->remote.len < *len ? s->remote.len : *len);
    *len = s->remote.len;
    return got;
}

int sys_in_line(int fd)
{
    return sim_fails() ? -1 : sim_sock_of(fd)->waiting;
}

/* ---- Bytes ---- */

static void segment_drop(struct segment *g)
{
    list_remove(&g->link);
    free(g);
}

ssize_t sys_peek(int fd, void *p, size_t n)
{
    struct sock *s = sim_sock_of(fd);
    if (sim_fails())
        return -1;
    struct segment *g = sim_arrived(s);
    if (s->reset || !g) {
        errno = s->reset ? ECONNRESET : EAGAIN;
        return -1;
    }
    size_t take = n < g->n - g->taken ? n : g->n - g->taken;
    memcpy(p, g->data + g->taken, take);
    return (ssize_t)take;
}

ssize_t sys_read(int fd, void *p, size_t n)
{
    struct sock *s = sim_sock_of(fd);
    if (sim_fails())
        return -1;
    if (!s)
        return read(fd, p, n);
    size_t got = 0, most = sim_world.chunk && sim_world.chunk < n ? sim_world.chunk : n;
    bool was_full = s->held >= s->window;
    if (s->reset) {
        errno = ECONNRESET;
        return -1;
    }
    for (struct segment *g; got < most && (g = sim_arrived(s)) && g->n;) {
        size_t take = most - got < g->n - g->taken ? most - got : g->n - g->taken;
        memcpy((char *)p + got, g->data + g->taken, take);
        got += take;
        s->held -= take;
        if ((g->taken += take) == g->n)
            segment_drop(g);
    }
    if (was_full && got && s->peer)
        sim_edge(s->peer);
    if (got == 0 && !sim_arrived(s)) {
        errno = EAGAIN;
        return -1;
    }
    return (ssize_t)got;
}

/* NULL with errno when there is no memory, which torture arranges once in a run; FIN needs none in a real kernel. */
static struct segment *segment_send(struct sock *to, size_t n)
{
    struct segment *g = malloc(sizeof *g + n);
    if (!g && n == 0)
        g = malloc(sizeof *g);
    if (!g) {
        errno = ENOBUFS;
        return NULL;
    }
    g->n = n;
    g->taken = 0;
    g->at = sim_world.now + sim_world.latency;
    struct segment *last = list_empty(&to->incoming) ? NULL : LIST_ENTRY(to->incoming.prev, struct segment, link);
    if (last && last->at > g->at)
        g->at = last->at; /* bytes do not overtake each other */
    list_add_last(&to->incoming, &g->link);
    to->held += n;
    return g;
}

ssize_t sys_writev(int fd, const struct iovec *v, int n, bool last)
{
    (void)last; /* an end has no packet of its own here */
    struct sock *s = sim_sock_of(fd);
    if (sim_fails())
        return -1;
    if (!s)
        return writev(fd, v, n);
    if (s->state != CONNECTED || !s->peer || s->reset || s->finished) {
        errno = s->reset ? ECONNRESET : EPIPE;
        return -1;
    }
    size_t room = s->peer->window > s->peer->held ? s->peer->window - s->peer->held : 0, want = 0;
    for (int i = 0; i < n; i++)
        want += v[i].iov_len;
    if (sim_world.chunk && room > sim_world.chunk)
        room = sim_world.chunk;
    if (want > room)
        want = room;
    if (want == 0) {
        errno = EAGAIN;
        return -1;
    }
    struct segment *g = segment_send(s->peer, want);
    if (!g)
        return -1;
    for (size_t at = 0, i = 0; at < want; i++) {
        size_t take = v[i].iov_len < want - at ? v[i].iov_len : want - at;
        memcpy(g->data + at, v[i].iov_base, take);
        at += take;
    }
    if (g->at <= sim_world.now)
        sim_edge(s->peer);
    return (ssize_t)want;
}

ssize_t sys_sendfile(int fd, int file, off_t *off, size_t n)
{
    static char piece[16384];
    if (fd < SIM_FIRST)
        return sim_fails() ? -1 : sendfile(fd, file, off, n);
    ssize_t got = pread(file, piece, n < sizeof piece ? n : sizeof piece, *off);
    if (got <= 0)
        return got;
    struct iovec v = {piece, (size_t)got};
    ssize_t put = sys_writev(fd, &v, 1, false);
    if (put > 0)
        *off += put;
    return put;
}

ssize_t sys_send_pages(int fd, const struct iovec *before, int count, const void *p, size_t n)
{
    struct iovec v[8];
    CHECK(count < 8);
    for (int i = 0; i < count; i++)
        v[i] = before[i];
    v[count] = (struct iovec){(void *)(uintptr_t)p, n};
    return sys_writev(fd, v, count + 1, false);
}

/* No ring: here each goes by itself. */
void sys_batch_open(void)
{
}

void sys_send_all(struct sys_send *s, unsigned n)
{
    (void)s, (void)n;
}

void sys_receive_all(struct sys_receive *r, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        r[i].result = sys_read(r[i].fd, r[i].p, r[i].n);
        r[i].result = r[i].result < 0 ? -errno : r[i].result;
    }
}

void sys_close_all(int *fds, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        sys_close(fds[i]);
}

void sys_thread_done(void)
{
}

/* One of the two is a pipe, which is real. */
ssize_t sys_splice(int from, int to, size_t n)
{
    static char piece[16384];
    struct sock *in = sim_sock_of(from), *out = sim_sock_of(to);
    if (out && !sim_can_write(out)) {
        errno = EAGAIN;
        return -1;
    }
    if (out && out->peer && n > out->peer->window - out->peer->held)
        n = out->peer->window - out->peer->held;
    if (sim_world.chunk && n > sim_world.chunk)
        n = sim_world.chunk;
    n = n < sizeof piece ? n : sizeof piece;
    ssize_t got = in ? sys_read(from, piece, n) : read(from, piece, n);
    if (got <= 0)
        return got;
    struct iovec v = {piece, (size_t)got};
    ssize_t put = out ? sys_writev(to, &v, 1, false) : write(to, piece, (size_t)got);
    CHECK(put == got || put < 0);
    return put;
}

int sys_recvmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
    (void)fd, (void)m, (void)n, (void)flags;
    errno = EOPNOTSUPP; /* datagrams are tested by their pure parts and over loopback */
    return -1;
}

int sys_sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
    return sys_recvmmsg(fd, m, n, flags);
}

/* ---- Ends ---- */

int sys_shutdown_write(int fd)
{
    struct sock *s = sim_sock_of(fd);
    if (sim_fails())
        return -1;
    if (!s->finished && s->peer && s->state == CONNECTED) {
        segment_send(s->peer, 0);
        sim_edge(s->peer);
    }
    s->finished = true;
    return 0;
}

int sys_stop_listening(int fd)
{
    sim_sock_of(fd)->state = FRESH;
    return 0;
}

static void cut(struct sock *s, bool reset)
{
    struct sock *peer = s->peer;
    if (!peer)
        return;
    peer->peer = s->peer = NULL;
    if (reset)
        peer->reset = true;
    else if (!s->finished)
        segment_send(peer, 0);
    sim_edge(peer);
}

void sim_abort_connection(int fd)
{
    struct sock *s = sim_sock_of(fd);
    cut(s, true);
    s->reset = true;
    sim_edge(s);
}

int sys_close(int fd)
{
    struct sock *s = sim_sock_of(fd);
    if (!s)
        return close(fd);
    /* Closing with bytes unread sends RST, as Linux does (RFC 2525 section 2.17). */
    struct segment *unread = sim_arrived(s);
    for (int i = 0; i < s->waiting; i++)
        sys_close(s->backlog[i]);
    cut(s, unread && unread->n);
    while (!list_empty(&s->incoming))
        segment_drop(LIST_ENTRY(s->incoming.next, struct segment, link));
    *s = (struct sock){.state = UNUSED};
    return 0;
}
