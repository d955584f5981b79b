/* SPDX-License-Identifier: MIT */
#include "rt/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/pages.h"
#include "rt/sanitize.h"

/* The calls of every request and connection go past the C library's cancellation points, which nobody here uses: in a
   process with threads each costs two atomic operations. ThreadSanitizer has to see the library's. */
static inline ssize_t receive(int fd, void *p, size_t n)
{
#ifdef L7_TSAN
    return recv(fd, p, n, 0);
#else
    return syscall(SYS_recvfrom, fd, p, n, 0, NULL, NULL);
#endif
}

static inline ssize_t deliver(int fd, const void *p, size_t n, int flags)
{
#ifdef L7_TSAN
    return send(fd, p, n, flags);
#else
    return syscall(SYS_sendto, fd, p, n, flags, NULL, 0);
#endif
}

/* Nearly everything is a socket, and for those recv(2) and send(2) are the kernel's shorter ways. The others are told
   apart by the error. */
ssize_t sys_read(int fd, void *p, size_t n)
{
    ssize_t got = receive(fd, p, n);
    return got < 0 && errno == ENOTSOCK ? read(fd, p, n) : got;
}

/* Small pieces are put together here: copying them once more is cheaper than having the kernel gather them. */
ssize_t sys_writev(int fd, const struct iovec *v, int n, bool last)
{
    const int flags = MSG_NOSIGNAL | (last ? MSG_MORE : 0);
    char together[2048];
    size_t total = 0;
    for (int i = 0; i < n && total <= sizeof together; i++)
        total += v[i].iov_len;
    if (n != 1 && total > sizeof together)
        return writev(fd, v, n);
    char *at = together;
    for (int i = 0; n > 1 && i < n; at += v[i++].iov_len)
        if (v[i].iov_len)
            memcpy(at, v[i].iov_base, v[i].iov_len);
    ssize_t put = deliver(fd, n == 1 ? v[0].iov_base : together, total, flags);
    return put < 0 && errno == ENOTSOCK ? writev(fd, v, n) : put;
}

ssize_t sys_sendfile(int fd, int file, off_t *off, size_t n)
{
    return sendfile(fd, file, off, n);
}

ssize_t sys_splice(int from, int to, size_t n)
{
    return splice(from, NULL, to, NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

/* ---- By reference ---- */

/* vmsplice(2) puts references to pages into a pipe, splice(2) moves them on into the socket. One pipe a thread: what
   the socket does not take is thrown away and put in anew, so nothing stays behind and slow peers hold no pipes. */
enum { LANE = 1 << 20, COPIES = 64 << 10 };
static _Thread_local struct lane {
    int in, out, away; /* the pipe's ends, and /dev/null */
    bool open;
} lane;

static _Thread_local struct {
    char *at;
    size_t used;
} copies;

static void copies_free(void)
{
    if (copies.at)
        pages_free(copies.at, COPIES);
    copies.at = NULL;
    copies.used = 0;
}

static void lane_close(void)
{
    close(lane.in);
    close(lane.out);
    if (lane.away >= 0)
        close(lane.away);
    lane.open = false;
}

static bool lane_open(void)
{
    int ends[2];
    if (lane.open)
        return true;
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0)
        return false;
    /* Users with many pipes may be refused a wider one: it only means more turns. */
    (void)fcntl(ends[1], F_SETPIPE_SZ, LANE);
    lane = (struct lane){ends[1], ends[0], open("/dev/null", O_WRONLY | O_CLOEXEC), true};
    return true;
}

static void lane_empty(size_t n)
{
    for (ssize_t gone; n; n -= (size_t)gone) {
        gone = splice(lane.out, NULL, lane.away, NULL, n, SPLICE_F_NONBLOCK);
        if (gone <= 0) {
            lane_close(); /* empties it, too */
            return;
        }
    }
}

/* Small pieces cannot leave by reference from where they are, since that is written to again. Their copies are never
   written to: a stretch of pages that is used up goes back to the kernel, which keeps what still waits in a socket. */
static const struct iovec *by_copy(const struct iovec *v, int n)
{
    static _Thread_local struct iovec copy;
    size_t total = 0;
    for (int i = 0; i < n; i++)
        total += v[i].iov_len;
    if (total > COPIES)
        return NULL;
    copy = (struct iovec){NULL, 0};
    if (total == 0)
        return &copy;
    if (!copies.at || copies.used + total > COPIES) {
        copies_free();
        copies.at = pages_new(COPIES);
        if (!copies.at)
            return NULL;
    }
    char *to = copies.at + copies.used;
    copies.used += total;
    copy = (struct iovec){to, total};
    for (int i = 0; i < n; to += v[i++].iov_len)
        if (v[i].iov_len)
            memcpy(to, v[i].iov_base, v[i].iov_len);
    return &copy;
}

ssize_t sys_send_pages(int fd, const struct iovec *before, int count, const void *p, size_t n)
{
    const struct iovec *copy = by_copy(before, count);
    if (!copy)
        return writev(fd, before, count);
    struct iovec v[] = {*copy, {(void *)(uintptr_t)p, n}};
    ssize_t in = lane_open() ? vmsplice(lane.in, v, 2, SPLICE_F_NONBLOCK) : -1;
    if (in <= 0) { /* no pipe to be had, or the call is forbidden here */
        struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
        return sendmsg(fd, &m, MSG_NOSIGNAL);
    }
    ssize_t put = splice(lane.out, NULL, fd, NULL, (size_t)in, SPLICE_F_NONBLOCK);
    int error = errno;
    lane_empty((size_t)(put > 0 ? in - put : in));
    errno = error;
    return put;
}

void sys_thread_done(void)
{
    if (lane.open)
        lane_close();
    copies_free();
    sys_batch_done();
}

int sys_accept(int fd, struct sockaddr *a, socklen_t *len)
{
#ifdef L7_TSAN
    return accept4(fd, a, len, SOCK_CLOEXEC | SOCK_NONBLOCK);
#else
    return (int)syscall(SYS_accept4, fd, a, len, SOCK_CLOEXEC | SOCK_NONBLOCK);
#endif
}

/* TCP_INFO of a listener (Linux): what it calls unacknowledged are the connections that nobody has accepted. */
int sys_in_line(int fd)
{
    struct tcp_info info;
    socklen_t len = offsetof(struct tcp_info, tcpi_sacked);
    bool told = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_state == TCP_LISTEN;
    return told ? (int)info.tcpi_unacked : -1;
}

int sys_connect(int fd, const struct sockaddr *a, socklen_t len)
{
    return connect(fd, a, len);
}

int sys_connect_result(int fd)
{
    int error = 0;
    socklen_t len = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : -1;
}

ssize_t sys_peek(int fd, void *p, size_t n)
{
    return recv(fd, p, n, MSG_PEEK | MSG_DONTWAIT);
}

int sys_recvmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
    return recvmmsg(fd, m, n, flags | MSG_DONTWAIT, NULL);
}

int sys_sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
    return sendmmsg(fd, m, n, flags | MSG_DONTWAIT);
}

int sys_shutdown_write(int fd)
{
    return shutdown(fd, SHUT_WR);
}

int sys_stop_listening(int fd)
{
    return shutdown(fd, SHUT_RD);
}

int sys_close(int fd)
{
    return close(fd);
}

int sys_socket(int family, int type)
{
    return socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int sys_bind(int fd, const struct sockaddr *a, socklen_t len)
{
    return bind(fd, a, len);
}

int sys_listen(int fd, int backlog)
{
    return listen(fd, backlog);
}

int sys_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    return setsockopt(fd, level, name, value, len);
}

int sys_getsockname(int fd, struct sockaddr *a, socklen_t *len)
{
    return getsockname(fd, a, len);
}
