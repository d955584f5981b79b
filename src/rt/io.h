/* SPDX-License-Identifier: MIT */
/*
 * io.h -- THE retry loop: the one place that knows EAGAIN and EINTR.
 *
 * Every call tries first and waits only when the kernel says so. Descriptors are non-blocking and belong to
 * one loop. One fiber may read while another writes; two readers (or two writers) at once are a bug.
 * A descriptor that was used here is closed with io_close, which forgets its remembered readiness.
 * SIGPIPE is ignored by loop_open.
 */
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include "base/addr.h"
#include "rt/fiber.h"

enum io_dir { IO_READ, IO_WRITE };

/* Wait for readiness, as the io calls remember it: at once when it is remembered. For use with the _now calls. */
MUST err_t io_wait(int fd, enum io_dir, tick until);
/* The same for a library that makes system calls of its own (c-ares): it uses readiness up without telling, so this
   may return early. Try again, and wait again. Never park such a descriptor. */
MUST err_t io_wait_foreign(int fd, enum io_dir, tick until);

/* After a write of any kind that failed, until the next one: how many of its bytes have not been taken. */
extern _Thread_local uint64_t io_left;

MUST err_t io_read(int fd, void *, size_t cap, size_t *got, tick until); /* got 0 = end of stream */
MUST err_t io_read_now(int fd, void *, size_t cap, size_t *got); /* never waits: E_TIMEOUT when nothing is there */
/* For one of many reads of a long body whose next `cap` bytes are announced: `*got` may be less, as with io_read, but a
   flow that has filled `cap` before is left alone by the kernel until it can fill it again, or pauses. Only TCP. */
MUST err_t io_read_bulk(int fd, void *, size_t cap, size_t *got, tick until);
MUST err_t io_writev(int fd, struct iovec *, int n, tick until); /* all or error; the iovec array is used up */
/* The same for small messages that may leave with others: kept back until this turn's events have been handled. It
   counts as written; an error is told by the next operation on `fd`, to a reader before it would wait in vain. All
   calls here keep the order; io_finish and others that do not come through here: after io_settle. */
MUST err_t io_writev_soon(int fd, struct iovec *, int n, tick until);
MUST err_t io_settle(int fd, tick until); /* wait until all of that has left */
bool io_unsent(int fd);                   /* is some of it still here? */
/* The same when io_finish or io_close comes next: the last of it may wait for that and share its packet. */
MUST err_t io_writev_last(int fd, struct iovec *, int n, tick until);
MUST err_t io_write_now(int fd, const void *, size_t n, size_t *put); /* never waits: E_TIMEOUT when there is no room */
MUST err_t io_write(int fd, const void *, size_t n, tick until);
/* `len` bytes of `file` from `off` by sendfile(2); E_TRUNCATED when the file ends early. */
MUST err_t io_send_file(int fd, int file, uint64_t off, uint64_t len, tick until);
/* `n` bytes of memory as base/pages.h makes it, by reference: without a copy. `before`, small and copied, leaves with
   its first packet; the iovec array is used up. */
MUST err_t io_send_pages(int fd, struct iovec *before, int count, const char *, size_t n, tick until);
/* Move up to `cap` bytes from one descriptor to another, one of which is a pipe, by splice(2). got 0 = end. */
MUST err_t io_splice(int from, int to, size_t cap, size_t *got, tick until);

/* This thread will have many sockets: from now on what io_writev_soon and io_close_soon keep back, and what is read
   ahead (park.h), enters the kernel in batches, where it can do that. Takes a descriptor. */
void io_expect_many(void);

MUST err_t io_accept(int fd, int *conn, struct addr *peer, tick until); /* CLOEXEC and non-blocking */
MUST err_t io_accept_now(int fd, int *conn, struct addr *peer);         /* never waits: E_TIMEOUT when none is there */
MUST err_t io_connect(int fd, const struct addr *, tick until);

/* Datagrams. At least one message is received; `*got` says how many. Sending goes on until all are taken or one
   fails: then its error is returned and `*sent` is its index. */
MUST err_t io_recvmmsg(int fd, struct mmsghdr *, unsigned n, int flags, unsigned *got, tick until);
MUST err_t io_sendmmsg(int fd, struct mmsghdr *, unsigned n, int flags, unsigned *sent, tick until);

void io_close(int fd);
/* The same for a socket whose number need not be free at once: with others, when this turn's events have been handled
   (rt/outbox.h). Nothing may be done with it any more. */
void io_close_soon(int fd);
/* Out of the poller, with nobody waiting: a foreign library (c-ares) is about to close it, or it is busy enough not to
   need watching. The next wait puts it back. */
void io_forget(int fd);
/* Half-close: no more writes (SHUT_WR). */
void io_finish(int fd);
/* Has the peer hung up or sent anything since the last read? For probing idle pooled connections; no waiting. */
bool io_idle_and_alive(int fd);
