/* SPDX-License-Identifier: MIT */
#include "rt/io.h"

#include <errno.h>
#include <limits.h>

#include "rt/internal.h"
#include "rt/sys.h"

enum {
    SEND_FILE_STEP = 1 << 20,
    SEND_PAGES_MIN = 64 << 10,
    BULK_WAIT_MS = 10, /* a flow that needs longer for one read's worth is no bulk: its bytes are wanted as they come */
};

_Thread_local uint64_t io_left;

static bool watched(const struct slot *s, enum io_dir dir)
{
    return s && s->watched && (dir == IO_READ || s->both);
}

/* Is trying worth a system call? Yes, unless the poller watches it and nothing has happened since EAGAIN. */
static bool may(const struct slot *s, enum io_dir dir)
{
    return !watched(s, dir) || (dir == IO_READ ? slot_readable(s) : s->writable);
}

static void spent(struct slot *s, enum io_dir dir)
{
    if (s && dir == IO_READ)
        s->readable = false;
    else if (s)
        s->writable = false;
}

/* What to do about a failed call: NULL = try again now. `until` < 0 means never wait. */
static err_t failed(int fd, enum io_dir dir, tick until)
{
    if (errno == EINTR)
        return NULL;
    if (errno != EAGAIN && errno != EWOULDBLOCK)
        return err_errno(errno);
    struct slot *s = slot_find(fd);
    spent(s, dir);
    if (s && s->failed && until >= 0)
        return s->failed; /* what was kept back has not left: nothing will come of it */
    return until < 0 ? E_TIMEOUT : slot_wait(fd, dir, until);
}

err_t io_wait(int fd, enum io_dir dir, tick until)
{
    struct slot *s = slot_find(fd);
    return watched(s, dir) && may(s, dir) ? fiber_spend() : slot_wait(fd, dir, until);
}

err_t io_wait_foreign(int fd, enum io_dir dir, tick until)
{
    struct slot *s = slot_find(fd);
    err_t e = io_wait(fd, dir, until);
    if (s || (s = slot_find(fd)))
        spent(s, dir); /* the library uses it up without telling */
    return e;
}

/* Order is kept with what was written by io_writev_soon. */
static inline err_t settle(int fd, tick until)
{
    struct slot *s = slot_find(fd);
    return s && (s->kept || s->unsent || s->failed) ? outbox_settle(fd, s, until) : NULL;
}

err_t io_settle(int fd, tick until)
{
    return settle(fd, until);
}

bool io_unsent(int fd)
{
    const struct slot *s = slot_find(fd);
    return s && (s->kept || s->unsent);
}

/* ---- Reading ---- */

/* What must be there before the kernel wakes us (SO_RCVLOWAT). A long body costs a quarter less CPU when it comes in
   few large pieces: each wake-up, and each window update that follows, is work for both ends. */
static void wake_from(int fd, struct slot *s, size_t n)
{
    int low = n < INT_MAX ? (int)n : INT_MAX;
    s->bulk = sys_setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low) == 0 && n > 1;
    s->readable |= !s->bulk; /* what was too little until now */
}

static err_t read_from(int fd, void *p, size_t cap, size_t *got, tick until)
{
    for (;;) {
        struct slot *s = slot_find(fd);
        if (!may(s, IO_READ))
            TRY(until < 0 ? E_TIMEOUT : slot_wait(fd, IO_READ, until));
        if (s && s->ahead_n) {
            *got = inbox_take(s, p, cap);
            return until < 0 ? NULL : fiber_spend();
        }
        ssize_t n = sys_read(fd, p, cap);
        if (n >= 0) {
            /* A short read has emptied the socket (epoll(7)), unless the end is waiting behind the data. */
            if ((size_t)n < cap && s && !s->hangup)
                s->readable = false;
            *got = (size_t)n;
            return until < 0 ? NULL : fiber_spend();
        }
        TRY(failed(fd, IO_READ, until));
    }
}

err_t io_read(int fd, void *p, size_t cap, size_t *got, tick until)
{
    struct slot *s = slot_find(fd);
    if (s && s->bulk)
        wake_from(fd, s, 1);
    return read_from(fd, p, cap, got, until);
}

err_t io_read_bulk(int fd, void *p, size_t cap, size_t *got, tick until)
{
    struct slot *s = slot_find(fd);
    /* Not now(): this turn may have been a long one. */
    tick pause = s && s->bulk ? clock_now() + BULK_WAIT_MS * TICK_MS : until;
    err_t e = read_from(fd, p, cap, got, pause < until ? pause : until);
    if (e == E_TIMEOUT && pause < until)
        return io_read(fd, p, cap, got, until);
    TRY(e);
    if (*got == cap && s && !s->bulk)
        wake_from(fd, s, cap);
    return NULL;
}

err_t io_read_now(int fd, void *p, size_t cap, size_t *got)
{
    return read_from(fd, p, cap, got, -1);
}

static void advance(struct iovec **v, int *n, size_t done)
{
    while (*n && done >= (*v)->iov_len) {
        done -= (*v)->iov_len;
        ++*v, --*n;
    }
    if (*n) {
        (*v)->iov_base = (char *)(*v)->iov_base + done;
        (*v)->iov_len -= done;
    }
}

/* What has been taken is gone from the array, whatever comes of it. */
static inline err_t write_pieces(int fd, struct iovec **v, int *n, bool last, tick until)
{
    TRY(settle(fd, until));
    while (*n) {
        if (!may(slot_find(fd), IO_WRITE))
            TRY(slot_wait(fd, IO_WRITE, until));
        ssize_t done = sys_writev(fd, *v, *n < IOV_MAX ? *n : IOV_MAX, last);
        if (done >= 0)
            advance(v, n, (size_t)done);
        else
            TRY(failed(fd, IO_WRITE, until));
    }
    return fiber_spend();
}

static err_t write_all(int fd, struct iovec *v, int n, bool last, tick until)
{
    advance(&v, &n, 0); /* empty pieces at the front */
    err_t e = write_pieces(fd, &v, &n, last, until);
    if (e)
        for (io_left = 0; n; n--)
            io_left += v++->iov_len;
    return e;
}

err_t io_writev(int fd, struct iovec *v, int n, tick until)
{
    return write_all(fd, v, n, false, until);
}

static err_t write_soon(int fd, struct iovec *v, int n, bool last, tick until)
{
    struct slot *s = slot_find(fd);
    if (!s || !outbox_keep(fd, s, v, n, last))
        return write_all(fd, v, n, last, until);
    err_t e = fiber_spend();
    if (e)
        io_left = 0;
    return e;
}

err_t io_writev_soon(int fd, struct iovec *v, int n, tick until)
{
    return write_soon(fd, v, n, false, until);
}

err_t io_writev_last(int fd, struct iovec *v, int n, tick until)
{
    return write_soon(fd, v, n, true, until);
}

err_t io_write_now(int fd, const void *p, size_t n, size_t *put)
{
    struct iovec v = {(void *)(uintptr_t)p, n};
    struct slot *s = slot_find(fd);
    if (s)
        TRY(outbox_settle_now(s));
    for (;;) {
        if (!may(slot_find(fd), IO_WRITE))
            return E_TIMEOUT;
        ssize_t done = sys_writev(fd, &v, 1, false);
        if (done >= 0) {
            *put = (size_t)done;
            return NULL;
        }
        TRY(failed(fd, IO_WRITE, -1));
    }
}

err_t io_write(int fd, const void *p, size_t n, tick until)
{
    struct iovec v = {(void *)(uintptr_t)p, n};
    return io_writev(fd, &v, 1, until);
}

static err_t send_file(int fd, int file, uint64_t off, uint64_t *len, tick until)
{
    off_t at = (off_t)off;
    TRY(settle(fd, until));
    while (*len) {
        if (!may(slot_find(fd), IO_WRITE))
            TRY(slot_wait(fd, IO_WRITE, until));
        ssize_t n = sys_sendfile(fd, file, &at, *len < SEND_FILE_STEP ? *len : SEND_FILE_STEP);
        if (n == 0)
            return E_TRUNCATED;
        if (n > 0) {
            *len -= (uint64_t)n;
            TRY(fiber_spend());
        } else {
            TRY(failed(fd, IO_WRITE, until));
        }
    }
    return NULL;
}

err_t io_send_file(int fd, int file, uint64_t off, uint64_t len, tick until)
{
    err_t e = send_file(fd, file, off, &len, until);
    if (e)
        io_left = len;
    return e;
}

/* What the socket did not take was put into a pipe in vain: the next step is as long as what it took. */
static err_t send_pages(int fd, struct iovec *before, int count, const char *p, size_t *n, tick until)
{
    TRY(settle(fd, until));
    size_t ahead = 0;
    for (int i = 0; i < count; i++)
        ahead += before[i].iov_len;
    for (size_t step = SEND_FILE_STEP; *n || ahead;) {
        if (!may(slot_find(fd), IO_WRITE))
            TRY(slot_wait(fd, IO_WRITE, until));
        size_t want = *n < step ? *n : step;
        ssize_t put = sys_send_pages(fd, before, count, p, want);
        if (put == 0)
            return E_IO; /* no kernel does that; asking again would spin */
        if (put > 0) {
            size_t of_ahead = (size_t)put < ahead ? (size_t)put : ahead;
            advance(&before, &count, of_ahead);
            ahead -= of_ahead;
            put -= (ssize_t)of_ahead;
            p += put;
            *n -= (size_t)put;
            step = (size_t)put == want ? SEND_FILE_STEP : (size_t)put > SEND_PAGES_MIN ? (size_t)put : SEND_PAGES_MIN;
            TRY(fiber_spend());
        } else {
            TRY(failed(fd, IO_WRITE, until));
        }
    }
    return NULL;
}

err_t io_send_pages(int fd, struct iovec *before, int count, const char *p, size_t n, tick until)
{
    err_t e = send_pages(fd, before, count, p, &n, until);
    if (e)
        io_left = n; /* what is still ahead of them is not counted */
    return e;
}

err_t io_splice(int from, int to, size_t cap, size_t *got, tick until)
{
    const struct slot *source_slot = slot_find(from);
    CHECK(!source_slot || !source_slot->ahead_n); /* it would be passed by */
    TRY(settle(to, until));
    for (;;) {
        ssize_t n = sys_splice(from, to, cap);
        if (n >= 0) {
            *got = (size_t)n;
            return fiber_spend();
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return err_errno(errno);
        /* splice(2) does not say which side would block: look at the source first, which is what mostly does. */
        char byte;
        bool source = sys_peek(from, &byte, 1) < 0 && errno == EAGAIN;
        int fd = source ? from : to;
        enum io_dir dir = source ? IO_READ : IO_WRITE;
        spent(slot_find(fd), dir);
        TRY(slot_wait(fd, dir, until));
    }
}

/* Has everybody been let in that the poller told of? An accept(2) that finds nobody has made a whole socket by then and
   takes it down again, which costs many times what asking does; who comes after the question is told of anew. */
static bool line_ended(int fd, struct slot *s)
{
    if (!watched(s, IO_READ) || s->line || s->hangup)
        return false;
    int n = sys_in_line(fd);
    s->line = n > 0 ? (uint32_t)n : 0;
    s->counts |= n > 0;
    if (n == 0 && s->counts) /* a kernel that has never counted anybody may not know how: trying tells */
        s->readable = false;
    return !s->readable;
}

static void let_in(struct slot *s)
{
    if (s && s->line && --s->line == 0)
        s->readable = s->hangup;
}

static err_t accept_from(int fd, int *conn, struct addr *peer, tick until)
{
    for (;;) {
        if (!may(slot_find(fd), IO_READ))
            TRY(until < 0 ? E_TIMEOUT : slot_wait(fd, IO_READ, until));
        struct slot *s = slot_find(fd);
        if (line_ended(fd, s))
            continue;
        peer->len = sizeof *peer - offsetof(struct addr, sa);
        int n = sys_accept(fd, &peer->sa, &peer->len);
        if (n >= 0) {
            let_in(s);
            *conn = n;
            return until < 0 ? NULL : fiber_spend();
        }
        if (s)
            s->line = 0;           /* whatever it was: ask again */
        if (errno != ECONNABORTED) /* that one gave up while it waited in line */
            TRY(failed(fd, IO_READ, until));
    }
}

err_t io_accept(int fd, int *conn, struct addr *peer, tick until)
{
    return accept_from(fd, conn, peer, until);
}

err_t io_accept_now(int fd, int *conn, struct addr *peer)
{
    return accept_from(fd, conn, peer, -1);
}

err_t io_connect(int fd, const struct addr *to, tick until)
{
    if (sys_connect(fd, &to->sa, to->len) == 0)
        return NULL;
    if (errno == EAGAIN) /* a Unix socket whose backlog is full: nothing will announce room */
        return E_REFUSED;
    if (errno != EINPROGRESS && errno != EINTR)
        return err_errno(errno);
    TRY(slot_wait(fd, IO_WRITE, until));
    int error = sys_connect_result(fd);
    return error ? err_errno(error) : NULL;
}

err_t io_recvmmsg(int fd, struct mmsghdr *m, unsigned n, int flags, unsigned *got, tick until)
{
    for (;;) {
        struct slot *s = slot_find(fd);
        if (!may(s, IO_READ))
            TRY(slot_wait(fd, IO_READ, until));
        int k = sys_recvmmsg(fd, m, n, flags);
        if (k > 0) {
            if ((unsigned)k < n) /* fewer than asked for: the queue was found empty (edges to come are still told) */
                spent(s, IO_READ);
            *got = (unsigned)k;
            return fiber_spend();
        }
        TRY(failed(fd, IO_READ, until));
    }
}

err_t io_sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags, unsigned *sent, tick until)
{
    *sent = 0;
    while (*sent < n) {
        if (!may(slot_find(fd), IO_WRITE))
            TRY(slot_wait(fd, IO_WRITE, until));
        int k = sys_sendmmsg(fd, m + *sent, n - *sent, flags);
        if (k > 0)
            *sent += (unsigned)k;
        else
            TRY(failed(fd, IO_WRITE, until));
    }
    return fiber_spend();
}

void io_expect_many(void)
{
    sys_batch_open();
}

void io_forget(int fd)
{
    slot_forget(fd);
}

static void forget(int fd)
{
    struct slot *s = slot_find(fd);
    if (s) {
        outbox_drop(fd, s);
        slot_forget(fd);
    }
}

void io_close(int fd)
{
    if (loop_here)
        forget(fd);
    sys_close(fd);
}

void io_close_soon(int fd)
{
    if (!loop_here) {
        sys_close(fd);
        return;
    }
    forget(fd);
    outbox_close(fd);
}

void io_finish(int fd)
{
    sys_shutdown_write(fd); /* fails only when the peer is gone already */
}

bool io_idle_and_alive(int fd)
{
    char byte;
    return sys_peek(fd, &byte, 1) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}
