/* SPDX-License-Identifier: MIT */
/*
 * sys_batch.c -- system calls by the dozen: io_uring as a way to enter the kernel once for many of them.
 *
 * Waiting stays with epoll. None of these calls waits either, so each is over, in order, before the entry returns, and
 * no buffer has to outlive it. What is saved is the way in and out, which on processors that need Spectre's mitigations
 * costs more than parsing a small request. Where io_uring is forbidden (containers, kernel.io_uring_disabled) or too
 * old (before Linux 6.1) nothing is tried here, and callers make one call after the other.
 */
#include <errno.h>
#include <liburing.h>

#include "rt/sys.h"

enum { RING = 64 };

static _Thread_local struct {
    struct io_uring uring;
    enum { UNTRIED, OPEN, NONE } state;
} ring;

static bool ring_open(void)
{
    if (ring.state == UNTRIED) {
        struct io_uring_params p = {.flags = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
                                             IORING_SETUP_DEFER_TASKRUN};
        ring.state = io_uring_queue_init_params(RING, &ring.uring, &p) == 0 ? OPEN : NONE;
        if (ring.state == OPEN)
            (void)io_uring_register_ring_fd(&ring.uring); /* spares the kernel a look-up; it works without */
    }
    return ring.state == OPEN;
}

static void ring_close(void)
{
    if (ring.state == OPEN)
        io_uring_queue_exit(&ring.uring);
    ring.state = NONE;
}

/* One after the other in the order given. What a ring that fails has not begun by then, it never will. */
static void ring_run(unsigned n)
{
    unsigned made = 0, wait = 0, head;
    while (made < n) {
        struct io_uring_cqe *done;
        unsigned seen = 0;
        int entered = io_uring_submit_and_wait(&ring.uring, wait);
        io_uring_for_each_cqe(&ring.uring, head, done)
        {
            struct sys_send *s = io_uring_cqe_get_data(done);
            s->result = done->res;
            seen++;
        }
        io_uring_cq_advance(&ring.uring, seen);
        made += seen;
        wait = n - made; /* there is none as a rule */
        if (entered < 0 && entered != -EINTR)
            break;
    }
    if (made < n)
        ring_close();
}

void sys_send_all(struct sys_send *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        s[i].result = -EAGAIN;
    while (n && ring_open()) {
        unsigned some = n < RING ? n : RING;
        for (unsigned i = 0; i < some; i++, s++) {
            struct io_uring_sqe *e = io_uring_get_sqe(&ring.uring);
            io_uring_prep_send(e, s->fd, s->p, s->n, MSG_NOSIGNAL | MSG_DONTWAIT | (s->last ? MSG_MORE : 0));
            io_uring_sqe_set_data(e, s);
        }
        ring_run(some);
        n -= some;
    }
}

void sys_batch_done(void)
{
    ring_close();
    ring.state = UNTRIED;
}
