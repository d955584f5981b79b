/* SPDX-License-Identifier: MIT */
/*
 * sys_batch.c -- system calls by the dozen: io_uring as a way to enter the kernel once for many of them.
 *
 * Waiting stays with epoll. None of these calls waits either, so each is over, in order, before the entry returns, and
 * no buffer has to outlive it. What is saved is the way in and out, which on processors that need Spectre's mitigations
 * costs more than parsing a small request. Where io_uring is forbidden (containers, kernel.io_uring_disabled) or too
 * old (before Linux 6.1) nothing is tried here, and one call is made after the other.
 */
#include <errno.h>
#include <liburing.h>
#include <unistd.h>

#include "rt/sys.h"

enum { RING = 64 };

static _Thread_local struct {
    struct io_uring uring;
    bool open;
} ring;

void sys_batch_open(void)
{
    struct io_uring_params p = {.flags =
                                    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    if (ring.open || io_uring_queue_init_params(RING, &ring.uring, &p) != 0)
        return;
    ring.open = true;
    (void)io_uring_register_ring_fd(&ring.uring); /* spares the kernel a look-up; it works without */
}

void sys_batch_done(void)
{
    if (ring.open)
        io_uring_queue_exit(&ring.uring);
    ring.open = false;
}

/* One after the other in the order given. What a ring that fails has not begun by then, it never will. */
static void ring_run(unsigned n, void (*over)(void *what, int result))
{
    unsigned made = 0, wait = 0, head;
    while (made < n) {
        struct io_uring_cqe *done;
        unsigned seen = 0;
        int entered = io_uring_submit_and_wait(&ring.uring, wait);
        io_uring_for_each_cqe(&ring.uring, head, done)
        {
            over(io_uring_cqe_get_data(done), done->res);
            seen++;
        }
        io_uring_cq_advance(&ring.uring, seen);
        made += seen;
        wait = n - made; /* there is none as a rule */
        if (entered < 0 && entered != -EINTR)
            break;
    }
    if (made < n)
        sys_batch_done();
}

static void sent(void *what, int result)
{
    ((struct sys_send *)what)->result = result;
}

void sys_send_all(struct sys_send *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        s[i].result = -EAGAIN;
    while (n && ring.open) {
        unsigned some = n < RING ? n : RING;
        for (unsigned i = 0; i < some; i++, s++) {
            struct io_uring_sqe *e = io_uring_get_sqe(&ring.uring);
            io_uring_prep_send(e, s->fd, s->p, s->n, MSG_NOSIGNAL | MSG_DONTWAIT | (s->last ? MSG_MORE : 0));
            io_uring_sqe_set_data(e, s);
        }
        ring_run(some, sent);
        n -= some;
    }
}

static void received(void *what, int result)
{
    ((struct sys_receive *)what)->result = result;
}

void sys_receive_all(struct sys_receive *r, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        r[i].result = -EAGAIN;
    for (unsigned at = 0; at < n && ring.open;) {
        unsigned some = n - at < RING ? n - at : RING;
        for (const struct sys_receive *end = r + at + some; r + at < end; at++) {
            struct io_uring_sqe *e = io_uring_get_sqe(&ring.uring);
            io_uring_prep_recv(e, r[at].fd, r[at].p, r[at].n, MSG_DONTWAIT);
            io_uring_sqe_set_data(e, &r[at]);
        }
        ring_run(some, received);
    }
    for (unsigned i = 0; i < n && !ring.open; i++) {
        ssize_t got = r[i].result == -EAGAIN ? sys_read(r[i].fd, r[i].p, r[i].n) : r[i].result;
        r[i].result = got < 0 && r[i].result == -EAGAIN ? -errno : got;
    }
}

static void closed(void *what, int result)
{
    (void)result; /* as with close(2), the number is free again whatever it says */
    *(int *)what = -1;
}

void sys_close_all(int *fds, unsigned n)
{
    for (unsigned at = 0; n - at > 1 && ring.open;) {
        unsigned some = n - at < RING ? n - at : RING;
        for (unsigned i = 0; i < some; i++, at++) {
            struct io_uring_sqe *e = io_uring_get_sqe(&ring.uring);
            io_uring_prep_close(e, fds[at]);
            io_uring_sqe_set_data(e, &fds[at]);
        }
        ring_run(some, closed);
    }
    for (unsigned i = 0; i < n; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}
