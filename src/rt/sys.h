/* SPDX-License-Identifier: MIT */
/*
 * sys.h -- the system calls that move bytes, named once, so that the simulator can take their place.
 *
 * Same meaning, results and errno as the calls they are named after. With poll.h, clock.h and offload.h this is the
 * whole seam between the program and the kernel's network: io.c, with its retry loop, is the same code in tests.
 */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

ssize_t sys_read(int fd, void *p, size_t n);
/* `last`: shutdown or close comes next; the end may ride in the same packet. */
ssize_t sys_writev(int fd, const struct iovec *, int n, bool last);
ssize_t sys_sendfile(int fd, int file, off_t *off, size_t n);
ssize_t sys_splice(int from, int to, size_t n);
/* send(2) of memory as base/pages.h makes it: by reference where the kernel can do that. */
ssize_t sys_send_pages(int fd, const struct iovec *before, int count, const void *, size_t n);
/* Once this thread has opened its batches: many send(2), none of which waits, by one entry into the kernel. Otherwise,
   and where that cannot be had, they stay untried. Opening takes a descriptor and maps a library. */
void sys_batch_open(void);
struct sys_send {
    int fd;
    bool last; /* as above */
    const char *p;
    size_t n;
    ssize_t result; /* bytes taken, or minus errno; -EAGAIN also when it was not tried */
};
void sys_send_all(struct sys_send *, unsigned n);
void sys_close_all(int *fds, unsigned n); /* the same for close(2), which is always done; the array is used up */
/* The same for recv(2), but what could not be had by a batch is tried one by one. */
struct sys_receive {
    int fd;
    char *p;
    size_t n;
    ssize_t result; /* bytes, 0 at the end, or minus errno */
};
void sys_receive_all(struct sys_receive *, unsigned n);
void sys_batch_done(void);
void sys_thread_done(void); /* frees what this thread keeps for all these */
int sys_accept(int fd, struct sockaddr *, socklen_t *);
int sys_in_line(int fd); /* connections that wait to be accepted; -1: that cannot be told */
int sys_connect(int fd, const struct sockaddr *, socklen_t);
int sys_connect_result(int fd); /* SO_ERROR: 0 or an errno value */
ssize_t sys_peek(int fd, void *p, size_t n);
int sys_recvmmsg(int fd, struct mmsghdr *, unsigned n, int flags);
int sys_sendmmsg(int fd, struct mmsghdr *, unsigned n, int flags);
int sys_shutdown_write(int fd);
int sys_stop_listening(int fd);
int sys_close(int fd);

/* Making sockets: non-blocking and CLOEXEC. */
int sys_socket(int family, int type);
int sys_bind(int fd, const struct sockaddr *, socklen_t);
int sys_listen(int fd, int backlog);
int sys_setsockopt(int fd, int level, int name, const void *, socklen_t);
int sys_getsockname(int fd, struct sockaddr *, socklen_t *);
