/* SPDX-License-Identifier: MIT */
#include "net/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "rt/io.h"
#include "rt/sys.h"

enum {
    DEFER_SECONDS = 30, /* longer than any client needs to send its first byte */
    PASSED_MAX = 64,
    BACKLOG = 4096,
};

static int kind_of(const struct listen_point *p)
{
    return p->flags & LISTEN_UDP ? SOCK_DGRAM : SOCK_STREAM;
}

static err_t switch_on(int fd, int level, int name, int value)
{
    return sys_setsockopt(fd, level, name, &value, sizeof value) < 0 ? err_errno(errno) : NULL;
}

/* The number behind an environment variable of systemd's; 0 when it is not set or no number. */
static uint64_t passed_number(const char *name)
{
    uint64_t n = 0;
    return slice_u64(slice_z(getenv(name)), &n) ? n : 0;
}

uint64_t listen_passed(void)
{
    return passed_number("LISTEN_PID") == (uint64_t)getpid() ? passed_number("LISTEN_FDS") : 0;
}

/* A socket passed by systemd that is bound to this very address; -1 when there is none. Each is given out once. */
static int passed_socket(const struct listen_point *p)
{
    static uint64_t taken;
    uint64_t count = listen_passed();
    for (int i = 0; i < PASSED_MAX && (uint64_t)i < count; i++) {
        int fd = LISTEN_PASSED_FIRST + i, kind = 0;
        struct addr have = {.len = sizeof have.un};
        socklen_t len = sizeof kind;
        if (taken >> i & 1 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &len) < 0 || kind != kind_of(p) ||
            getsockname(fd, &have.sa, &have.len) < 0 || have.sa.sa_family != p->addr.sa.sa_family ||
            !addr_eq(&have, &p->addr))
            continue;
        taken |= UINT64_C(1) << i;
        return fd;
    }
    return -1;
}

static err_t bind_failed(const struct listen_point *p, int error)
{
    char text[ADDR_TEXT];
    addr_text(&p->addr, text);
    if (error == EADDRNOTAVAIL)
        return fault(E_USAGE, "%s is no address of this machine", text);
    if (error == EACCES && addr_port(&p->addr) && addr_port(&p->addr) < 1024)
        return fault(E_PERMISSION, "%s (ports below 1024 need root or CAP_NET_BIND_SERVICE)", text);
    return fault(err_errno(error), "%s", text);
}

/* A socket file that nobody answers on is left over from a process that was killed. What is no socket is refused with
   the same error and must stay. */
static void unlink_stale(const struct addr *a)
{
    struct stat st;
    if (lstat(a->un.sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return;
    int fd = sys_socket(AF_UNIX, SOCK_STREAM);
    if (fd >= 0 && connect(fd, &a->sa, a->len) < 0 && errno == ECONNREFUSED)
        unlink(a->un.sun_path);
    if (fd >= 0)
        close(fd);
}

static err_t make(struct listen_point *p, int *out)
{
    int fd = sys_socket(p->addr.sa.sa_family, kind_of(p));
    if (fd < 0 && errno == EAFNOSUPPORT && p->addr.sa.sa_family == AF_INET6 &&
        IN6_IS_ADDR_UNSPECIFIED(&p->addr.v6.sin6_addr)) { /* a kernel without IPv6: "every address" is 0.0.0.0 then */
        TRY(addr_parse(S("0.0.0.0"), addr_port(&p->addr), &p->addr));
        fd = sys_socket(AF_INET, kind_of(p));
    }
    if (fd < 0)
        return fault(err_errno(errno), "socket");
    *out = fd;
    return NULL;
}

/* What every socket of the point gets before bind. On UDP, SO_REUSEADDR would share the port silently. */
static err_t prepare(const struct listen_point *p, int fd)
{
    if (p->addr.sa.sa_family == AF_INET6)
        TRY(switch_on(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0));
    return p->flags & LISTEN_UDP ? NULL : switch_on(fd, SOL_SOCKET, SO_REUSEADDR, 1);
}

/* Accepted sockets inherit it. Once a connection sends by timers it goes on so, whatever is chosen later. */
static void choose_congestion(struct listen_point *p, int fd)
{
    char name[16] = "";
    socklen_t len = sizeof name - 1;
    p->paced = getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) == 0 && slice_starts(slice_z(name), S("bbr"));
    if (p->paced && addr_is_loopback(&p->addr))
        p->paced = sys_setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4) < 0;
}

static err_t start(struct listen_point *p, int fd)
{
    if (p->flags & LISTEN_UDP)
        return NULL;
    if (p->addr.sa.sa_family != AF_UNIX) {
        choose_congestion(p, fd);
        TRY(switch_on(fd, IPPROTO_TCP, TCP_NODELAY, 1)); /* accepted sockets inherit it */
        if (p->flags & LISTEN_DEFER)
            TRY(switch_on(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, DEFER_SECONDS));
    }
    return sys_listen(fd, BACKLOG) < 0 ? bind_failed(p, errno) : NULL;
}

static err_t bind_one(struct listen_point *p, int fd)
{
    if (sys_bind(fd, &p->addr.sa, p->addr.len) == 0)
        return NULL;
    return bind_failed(p, errno);
}

/* The first socket is bound without SO_REUSEPORT, so it fails when anybody holds the port; only then it lets its
   siblings in. */
static err_t open_first(struct listen_point *p, int fd, bool siblings)
{
    TRY(prepare(p, fd));
    if (p->addr.sa.sa_family == AF_UNIX)
        unlink_stale(&p->addr);
    TRY(bind_one(p, fd));
    p->bound_path = p->addr.sa.sa_family == AF_UNIX;
    if (p->bound_path)
        return NULL;
    socklen_t len = sizeof p->addr.v6;
    if (sys_getsockname(fd, &p->addr.sa, &len) < 0)
        return bind_failed(p, errno);
    return siblings ? switch_on(fd, SOL_SOCKET, SO_REUSEPORT, 1) : NULL;
}

static err_t open_sibling(struct listen_point *p, int fd)
{
    TRY(prepare(p, fd));
    TRY(switch_on(fd, SOL_SOCKET, SO_REUSEPORT, 1));
    return bind_one(p, fd);
}

static err_t open_all(struct listen_point *p, int count)
{
    for (int i = 0; i < count; i++) {
        int fd = -1;
        TRY(make(p, &fd));
        p->fds[p->fd_count++] = fd;
        TRY(i == 0 ? open_first(p, fd, count > 1) : open_sibling(p, fd));
    }
    for (int i = 0; i < count; i++)
        TRY(start(p, p->fds[i]));
    return NULL;
}

static err_t take_over(struct listen_point *p, int fd)
{
    int listens = 0;
    socklen_t len = sizeof listens;
    p->fds[p->fd_count++] = fd;
    if (kind_of(p) == SOCK_STREAM && (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0 || !listens))
        return fault(E_CONFIG, "systemd passed descriptor %d, which does not listen (Accept=no is wanted)", fd);
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return fault(err_errno(errno), "socket passed by systemd");
    if (kind_of(p) == SOCK_STREAM && p->addr.sa.sa_family != AF_UNIX)
        choose_congestion(p, fd);
    return NULL;
}

err_t listen_open(struct listen_point *p, int workers)
{
    CHECK(workers > 0);
    int count = p->addr.sa.sa_family == AF_UNIX ? 1 : workers, passed = passed_socket(p);
    p->fd_count = 0;
    p->bound_path = p->paced = false;
    p->passed = passed >= 0;
    p->fds = calloc((size_t)count, sizeof *p->fds);
    if (!p->fds)
        return E_NO_MEMORY;
    err_t e = passed >= 0 ? take_over(p, passed) : open_all(p, count);
    if (e)
        listen_close(p);
    return e;
}

int listen_fd(const struct listen_point *p, int worker)
{
    return p->fds[worker % p->fd_count];
}

void listen_stop(const struct listen_point *p, int worker)
{
    if (!p->passed)
        sys_stop_listening(listen_fd(p, worker)); /* fails only when another worker has done so */
}

void listen_close(struct listen_point *p)
{
    for (int i = 0; i < p->fd_count; i++)
        io_close(p->fds[i]);
    if (p->bound_path)
        unlink(p->addr.un.sun_path);
    free(p->fds);
    p->fds = NULL;
    p->fd_count = 0;
    p->bound_path = false;
}
