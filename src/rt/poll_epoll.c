/* SPDX-License-Identifier: MIT */
#include "rt/poll.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"

#define ALARM UINT64_MAX
enum { BATCH = 256 };

struct poller {
    int epoll, alarm;
    struct epoll_event events[BATCH];
};

err_t poll_open(struct poller **out)
{
    struct poller *p = calloc(1, sizeof *p);
    if (!p)
        return E_NO_MEMORY;
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    p->alarm = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u64 = ALARM};
    if (p->epoll < 0 || p->alarm < 0 || epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->alarm, &ev) != 0) {
        err_t e = err_errno(errno);
        poll_close(p);
        return e;
    }
    *out = p;
    return NULL;
}

err_t poll_watch(struct poller *p, int fd, uint64_t token, bool writing)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.u64 = token};
    if (writing)
        ev.events |= EPOLLOUT;
    int failed = epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &ev);
    if (failed && errno == EEXIST)
        failed = epoll_ctl(p->epoll, EPOLL_CTL_MOD, fd, &ev);
    return failed ? err_errno(errno) : NULL;
}

void poll_forget(struct poller *p, int fd)
{
    epoll_ctl(p->epoll, EPOLL_CTL_DEL, fd, NULL); /* fails only when the descriptor is gone, which is as good */
}

/* epoll_pwait2 (Linux 5.11) knows nanoseconds. Older kernels and valgrind do not have it: then the time is rounded up
   to milliseconds, since a timer must not fire early. */
static int wait_events(struct poller *p, int max, tick left)
{
    static atomic_bool old_kernel;
    if (!atomic_load_explicit(&old_kernel, memory_order_relaxed)) {
        struct timespec ts = {left / TICK_S, left % TICK_S};
        int n = epoll_pwait2(p->epoll, p->events, max, left < 0 ? NULL : &ts, NULL);
        if (n >= 0 || errno != ENOSYS)
            return n;
        atomic_store(&old_kernel, true);
    }
    tick ms = left < 0 ? -1 : (left + TICK_MS - 1) / TICK_MS;
    return epoll_wait(p->epoll, p->events, max, ms > INT_MAX ? INT_MAX : (int)ms);
}

int poll_wait(struct poller *p, struct ready *out, int max, tick until)
{
    tick left = -1;
    if (until != TICK_NEVER) {
        left = until - clock_now();
        if (left < 0)
            left = 0;
    }
    int n = wait_events(p, max < BATCH ? max : BATCH, left);
    CHECK(n >= 0 || errno == EINTR);
    int filled = 0;
    for (int i = 0; i < n; i++) {
        uint32_t e = p->events[i].events;
        uint64_t count;
        if (p->events[i].data.u64 == ALARM) {
            if (read(p->alarm, &count, sizeof count) < 0)
                CHECK(errno == EAGAIN);
            continue;
        }
        out[filled++] =
            (struct ready){p->events[i].data.u64, e & EPOLLIN, e & EPOLLOUT, e & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)};
    }
    return filled;
}

void poll_alarm(struct poller *p)
{
    uint64_t one = 1;
    if (write(p->alarm, &one, sizeof one) < 0)
        CHECK(errno == EAGAIN); /* the counter is full: it rings already */
}

void poll_close(struct poller *p)
{
    if (p->epoll >= 0)
        close(p->epoll);
    if (p->alarm >= 0)
        close(p->alarm);
    free(p);
}
