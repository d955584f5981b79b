/* SPDX-License-Identifier: MIT */
/*
 * shift_clock.c -- a library to preload: the process sees a wall clock that somebody sets. test_heartbeat_clock.py
 * builds it.
 *
 * The file that L7_CLOCK names holds three numbers (int64, ns): when the clock was last set, by the real one, and how
 * far it was ahead of the real one before and since. CLOCK_REALTIME and the kernel's receive stamps are moved
 * accordingly, each stamp by what held when the datagram came, as the kernel would have done. The monotonic clock is
 * left alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *set; /* when, before, since */
static int (*real_clock)(clockid_t, struct timespec *);
static int (*real_recvmmsg)(int, struct mmsghdr *, unsigned, int, struct timespec *);

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("L7_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *p = fd < 0 ? MAP_FAILED : mmap(NULL, 24, PROT_READ, MAP_SHARED, fd, 0);
    *(void **)&real_clock = dlsym(RTLD_NEXT, "clock_gettime");
    *(void **)&real_recvmmsg = dlsym(RTLD_NEXT, "recvmmsg");
    if (p == MAP_FAILED || !real_clock || !real_recvmmsg) {
        fputs("shift_clock: no L7_CLOCK\n", stderr);
        _exit(99);
    }
    set = p;
    close(fd);
}

static void shift(struct timespec *t)
{
    int64_t ns = t->tv_sec * INT64_C(1000000000) + t->tv_nsec;
    ns += ns < set[0] ? set[1] : set[2];
    t->tv_sec = ns / 1000000000;
    t->tv_nsec = ns % 1000000000;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    if (!real_clock) /* asked before the constructor ran: a sanitizer's start */
        *(void **)&real_clock = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real_clock(id, t);
    if (!failed && set && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        shift(t);
    return failed;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *t = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

static void shift_stamps(struct msghdr *h)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c))
        if (c->cmsg_level == SOL_SOCKET && (c->cmsg_type == SCM_TIMESTAMPING || c->cmsg_type == SCM_TIMESTAMPNS)) {
            struct timespec t;
            memcpy(&t, CMSG_DATA(c), sizeof t); /* the first of three is the software's */
            if (t.tv_sec)
                shift(&t);
            memcpy(CMSG_DATA(c), &t, sizeof t);
        }
}

int recvmmsg(int fd, struct mmsghdr *m, unsigned n, int flags, struct timespec *limit)
{
    int got = real_recvmmsg(fd, m, n, flags, limit);
    for (int i = 0; i < got; i++)
        shift_stamps(&m[i].msg_hdr);
    return got;
}
