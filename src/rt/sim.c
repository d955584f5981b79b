/* SPDX-License-Identifier: MIT */
#include "rt/sim.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "base/check.h"
#include "base/list.h"
#include "rt/offload.h"
#include "rt/poll.h"
#include "rt/sys.h"

enum { SOCKETS = 4096, WINDOW = 64 << 10, BACKLOG = 512, SAME_TIME_MAX = 1 << 20 };

struct segment { /* bytes on their way or waiting to be read; n 0 is FIN */
    struct list link;
    tick at; /* when it arrives */
    size_t n, taken;
    char data[];
};

struct sock {
    enum { UNUSED, FRESH, LISTENER, CONNECTING, CONNECTED, DEAD } state;
    struct addr local, remote;
    struct sock *peer;             /* NULL once the other end is closed */
    struct list incoming;          /* segments, in order */
    size_t held, window;           /* bytes in `incoming`; the most there may be */
    bool finished, reset;          /* we sent FIN; the peer sent RST */
    int backlog[BACKLOG], waiting; /* LISTENER: descriptors not yet accepted */
    bool watched, news;            /* in the poller; has an edge to report */
    struct ready edge;
};

static struct sock socks[SOCKETS];
static struct {
    tick now, latency;
    int64_t wall;
    size_t window, chunk;
    unsigned long calls, fail_in;
    int fail_with, same_time;
    uint16_t next_port;
    bool blackhole[65536];
    struct addr dark[8];
    int dark_count;
} world = {.now = 1000 * TICK_S, .wall = INT64_C(1767225600) * TICK_S, .window = WINDOW, .next_port = 40000};

/* ---- The world ---- */

void sim_reset(void)
{
    CHECK(sim_open_count() == 0);
    tick now = world.now; /* time only moves forward */
    memset(&world, 0, sizeof world);
    world.now = now + TICK_S;
    world.wall = INT64_C(1767225600) * TICK_S - world.now; /* 2026-01-01T00:00:00Z now */
    world.window = WINDOW;
    world.next_port = 40000;
}

void sim_latency(tick one_way)
{
    world.latency = one_way;
}
void sim_window(size_t bytes)
{
    world.window = bytes;
}
void sim_chunk(size_t most)
{
    world.chunk = most;
}
void sim_blackhole(uint16_t port, bool on)
{
    world.blackhole[port] = on;
}
void sim_blackhole_host(const struct addr *a)
{
    CHECK(world.dark_count < 8);
    world.dark[world.dark_count++] = *a;
}
void sim_wall(int64_t ns)
{
    world.wall = ns - world.now;
}
void sim_fail(unsigned long nth, int errnum)
{
    world.fail_in = nth;
    world.fail_with = errnum;
}
unsigned long sim_calls(void)
{
    return world.calls;
}

size_t sim_open_count(void)
{
    size_t n = 0;
    for (int i = 0; i < SOCKETS; i++)
        n += socks[i].state != UNUSED;
    return n;
}

tick clock_now(void)
{
    return world.now;
}
int64_t clock_wall(void)
{
    return world.wall + world.now;
}

err_t offload(err_t (*fn)(void *), void *arg, tick until)
{
    (void)until;
    return fiber_canceled() ? E_CANCELED : fn(arg);
}

/* Count this call, and say whether it is the one that shall fail. */
static bool fails(void)
{
    world.calls++;
    if (world.fail_in && --world.fail_in == 0) {
        errno = world.fail_with;
        return true;
    }
    return false;
}

static struct sock *sock_of(int fd)
{
    if (fd < SIM_FIRST)
        return NULL;
    struct sock *s = &socks[fd - SIM_FIRST];
    CHECK(fd < SIM_FIRST + SOCKETS && s->state != UNUSED); /* used after it was closed */
    return s;
}

static int fd_of(const struct sock *s)
{
    return SIM_FIRST + (int)(s - socks);
}

/* ---- Edges ---- */

static struct segment *arrived(const struct sock *s)
{
    struct segment *g = LIST_ENTRY(s->incoming.next, struct segment, link);
    return list_empty(&s->incoming) || g->at > world.now ? NULL : g;
}

static bool can_read(const struct sock *s)
{
    return s->state == LISTENER ? s->waiting > 0 : s->reset || arrived(s);
}

static bool can_write(const struct sock *s)
{
    return s->state == CONNECTED && (!s->peer || s->reset || s->peer->held < s->peer->window);
}

static void edge(struct sock *s)
{
    if (!s->watched)
        return;
    struct segment *last = LIST_ENTRY(s->incoming.prev, struct segment, link);
    s->news = true;
    s->edge.read = can_read(s);
    s->edge.write = can_write(s) || s->state == DEAD;
    s->edge.hangup =
        s->reset || s->state == DEAD || (!list_empty(&s->incoming) && last->n == 0 && last->at <= world.now);
}

struct poller {
    bool alarm;
};

err_t poll_open(struct poller **out)
{
    *out = calloc(1, sizeof **out);
    return *out ? NULL : E_NO_MEMORY;
}

void poll_close(struct poller *p)
{
    free(p);
}

void poll_alarm(struct poller *p)
{
    p->alarm = true;
}

err_t poll_watch(struct poller *p, int fd, uint64_t token)
{
    (void)p;
    if (fails())
        return err_errno(errno);
    struct sock *s = sock_of(fd);
    if (!s)
        return E_PERMISSION; /* a regular file: it is always ready and never waited for */
    s->watched = true;
    s->edge = (struct ready){.token = token};
    if (can_read(s) || can_write(s) || s->state == DEAD)
        edge(s);
    return NULL;
}

void poll_forget(struct poller *p, int fd)
{
    (void)p;
    struct sock *s = sock_of(fd);
    if (s)
        s->watched = s->news = false;
}

static int collect(struct ready *out, int max)
{
    int n = 0;
    for (int i = 0; i < SOCKETS && n < max; i++)
        if (socks[i].news) {
            socks[i].news = false;
            out[n++] = socks[i].edge;
        }
    return n;
}

/* Move time to the next arrival, not past `until`, and report who has something new. */
static void advance(tick until)
{
    tick next = until;
    for (int i = 0; i < SOCKETS; i++)
        for (struct list *l = socks[i].state == UNUSED ? NULL : socks[i].incoming.next; l && l != &socks[i].incoming;
             l = l->next) {
            tick at = LIST_ENTRY(l, struct segment, link)->at;
            if (at > world.now && at < next)
                next = at;
        }
    if (next == TICK_NEVER) {
        fiber_dump();
        CHECK(!"the simulation is stuck: nobody can go on and nothing is due");
    }
    world.same_time = next > world.now ? 0 : world.same_time + 1;
    CHECK(world.same_time < SAME_TIME_MAX); /* somebody spins */
    if (next > world.now)
        world.now = next;
    for (int i = 0; i < SOCKETS; i++)
        for (struct list *l = socks[i].state == UNUSED ? NULL : socks[i].incoming.next; l && l != &socks[i].incoming;
             l = l->next)
            if (LIST_ENTRY(l, struct segment, link)->at == world.now)
                edge(&socks[i]);
}

int poll_wait(struct poller *p, struct ready *out, int max, tick until)
{
    int n = collect(out, max);
    if (n == 0 && !p->alarm && until > world.now) {
        advance(until);
        n = collect(out, max);
    }
    p->alarm = false;
    return n;
}

/* ---- Sockets ---- */

static struct sock *sock_new(void)
{
    for (int i = 0; i < SOCKETS; i++)
        if (socks[i].state == UNUSED) {
            socks[i] = (struct sock){.state = FRESH, .window = world.window};
            list_init(&socks[i].incoming);
            return &socks[i];
        }
    errno = EMFILE;
    return NULL;
}

int sys_socket(int family, int type)
{
    (void)family;
    CHECK((type & 0xf) == SOCK_STREAM);
    struct sock *s = fails() ? NULL : sock_new();
    return s ? fd_of(s) : -1;
}

static bool is_any(const struct addr *a)
{
    return a->sa.sa_family == AF_INET ? a->v4.sin_addr.s_addr == INADDR_ANY : IN6_IS_ADDR_UNSPECIFIED(&a->v6.sin6_addr);
}

static struct sock *listener_at(const struct addr *a)
{
    for (int i = 0; i < SOCKETS; i++) {
        const struct addr *local = &socks[i].local;
        if (socks[i].state == LISTENER && addr_port(local) == addr_port(a) && (is_any(local) || addr_eq_host(local, a)))
            return &socks[i];
    }
    return NULL;
}

int sys_bind(int fd, const struct sockaddr *sa, socklen_t len)
{
    struct sock *s = sock_of(fd);
    if (fails())
        return -1;
    memcpy(&s->local.sa, sa, len);
    s->local.len = len;
    if (addr_port(&s->local) == 0)
        addr_set_port(&s->local, world.next_port++);
    if (listener_at(&s->local)) {
        errno = EADDRINUSE;
        return -1;
    }
    return 0;
}

int sys_listen(int fd, int backlog)
{
    (void)backlog;
    if (fails())
        return -1;
    sock_of(fd)->state = LISTENER;
    return 0;
}

int sys_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    (void)fd, (void)level, (void)name, (void)value, (void)len;
    return fails() ? -1 : 0;
}

int sys_getsockname(int fd, struct sockaddr *sa, socklen_t *len)
{
    struct sock *s = sock_of(fd);
    memcpy(sa, &s->local.sa, s->local.len < *len ? s->local.len : *len);
    *len = s->local.len;
    return 0;
}

static bool is_dark(const struct addr *a)
{
    bool dark = world.blackhole[addr_port(a)];
    for (int i = 0; i < world.dark_count; i++)
        dark |= addr_eq_host(a, &world.dark[i]);
    return dark;
}

int sys_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
    struct sock *s = sock_of(fd);
    if (fails())
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
    if (s->local.len == 0 && addr_parse(S("127.0.0.1"), world.next_port++, &s->local))
        UNREACHABLE();
    far->state = s->state = CONNECTED;
    far->local = s->remote;
    far->remote = s->local;
    far->peer = s;
    s->peer = far;
    l->backlog[l->waiting++] = fd_of(far);
    edge(l);
    return 0;
}

int sys_connect_result(int fd)
{
    return sock_of(fd)->state == CONNECTED ? 0 : ECONNREFUSED;
}

int sys_accept(int fd, struct sockaddr *sa, socklen_t *len)
{
    struct sock *l = sock_of(fd);
    if (fails())
        return -1;
    if (l->waiting == 0) {
        errno = EAGAIN;
        return -1;
    }
    int got = l->backlog[0];
    memmove(l->backlog, l->backlog + 1, (size_t)--l->waiting * sizeof *l->backlog);
    struct sock *s = sock_of(got);
    memcpy(sa, &s->remote.sa, s->remote.len < *len ? s->remote.len : *len);
    *len = s->remote.len;
    return got;
}

/* ---- Bytes ---- */

static void segment_drop(struct segment *g)
{
    list_remove(&g->link);
    free(g);
}

ssize_t sys_peek(int fd, void *p, size_t n)
{
    struct sock *s = sock_of(fd);
    if (fails())
        return -1;
    struct segment *g = arrived(s);
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
    struct sock *s = sock_of(fd);
    if (fails())
        return -1;
    if (!s)
        return read(fd, p, n);
    size_t got = 0, most = world.chunk && world.chunk < n ? world.chunk : n;
    bool was_full = s->held >= s->window;
    if (s->reset) {
        errno = ECONNRESET;
        return -1;
    }
    for (struct segment *g; got < most && (g = arrived(s)) && g->n;) {
        size_t take = most - got < g->n - g->taken ? most - got : g->n - g->taken;
        memcpy((char *)p + got, g->data + g->taken, take);
        got += take;
        s->held -= take;
        if ((g->taken += take) == g->n)
            segment_drop(g);
    }
    if (was_full && got && s->peer)
        edge(s->peer);
    if (got == 0 && !arrived(s)) {
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
    g->at = world.now + world.latency;
    struct segment *last = list_empty(&to->incoming) ? NULL : LIST_ENTRY(to->incoming.prev, struct segment, link);
    if (last && last->at > g->at)
        g->at = last->at; /* bytes do not overtake each other */
    list_add_last(&to->incoming, &g->link);
    to->held += n;
    return g;
}

ssize_t sys_writev(int fd, const struct iovec *v, int n)
{
    struct sock *s = sock_of(fd);
    if (fails())
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
    if (world.chunk && room > world.chunk)
        room = world.chunk;
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
    if (g->at <= world.now)
        edge(s->peer);
    return (ssize_t)want;
}

ssize_t sys_sendfile(int fd, int file, off_t *off, size_t n)
{
    static char piece[16384];
    if (fd < SIM_FIRST)
        return fails() ? -1 : sendfile(fd, file, off, n);
    ssize_t got = pread(file, piece, n < sizeof piece ? n : sizeof piece, *off);
    if (got <= 0)
        return got;
    struct iovec v = {piece, (size_t)got};
    ssize_t put = sys_writev(fd, &v, 1);
    if (put > 0)
        *off += put;
    return put;
}

/* One of the two is a pipe, which is real. */
ssize_t sys_splice(int from, int to, size_t n)
{
    static char piece[16384];
    struct sock *in = sock_of(from), *out = sock_of(to);
    if (out && !can_write(out)) {
        errno = EAGAIN;
        return -1;
    }
    if (out && out->peer && n > out->peer->window - out->peer->held)
        n = out->peer->window - out->peer->held;
    if (world.chunk && n > world.chunk)
        n = world.chunk;
    n = n < sizeof piece ? n : sizeof piece;
    ssize_t got = in ? sys_read(from, piece, n) : read(from, piece, n);
    if (got <= 0)
        return got;
    struct iovec v = {piece, (size_t)got};
    ssize_t put = out ? sys_writev(to, &v, 1) : write(to, piece, (size_t)got);
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
    struct sock *s = sock_of(fd);
    if (fails())
        return -1;
    if (!s->finished && s->peer && s->state == CONNECTED) {
        segment_send(s->peer, 0);
        edge(s->peer);
    }
    s->finished = true;
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
    edge(peer);
}

void sim_abort_connection(int fd)
{
    struct sock *s = sock_of(fd);
    cut(s, true);
    s->reset = true;
    edge(s);
}

int sys_close(int fd)
{
    struct sock *s = sock_of(fd);
    if (!s)
        return close(fd);
    /* Closing with bytes unread sends RST, as Linux does (RFC 2525 section 2.17). */
    struct segment *unread = arrived(s);
    for (int i = 0; i < s->waiting; i++)
        sys_close(s->backlog[i]);
    cut(s, unread && unread->n);
    while (!list_empty(&s->incoming))
        segment_drop(LIST_ENTRY(s->incoming.next, struct segment, link));
    *s = (struct sock){.state = UNUSED};
    return 0;
}
