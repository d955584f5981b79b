/* SPDX-License-Identifier: MIT */
#include "rt/outbox.h"

#include <errno.h>
#include <stdlib.h>

#include "rt/internal.h"
#include "rt/sys.h"

/* Not the socket's end: worth a try by itself. */
static bool passing(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR || error == ENOTSOCK;
}

/* As much as goes without waiting; the error of a socket that takes no more at all. */
static err_t put(int fd, const char *p, size_t n, bool last, size_t *done)
{
    *done = 0;
    while (*done < n) {
        struct iovec v = {(void *)(uintptr_t)(p + *done), n - *done};
        ssize_t k = sys_writev(fd, &v, 1, last);
        if (k >= 0)
            *done += (size_t)k;
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            return NULL;
        else if (errno != EINTR)
            return err_errno(errno);
    }
    return NULL;
}

/* It waits in the slot until the poller tells of room. */
static err_t set_aside(int fd, struct slot *s, const char *p, size_t n)
{
    struct unsent *u = malloc(sizeof *u + n);
    if (!u)
        return E_NO_MEMORY;
    u->at = 0;
    u->n = n;
    memcpy(u->bytes, p, n);
    s->unsent = u;
    TRY(slot_watch(fd, s, IO_WRITE));
    s->writable = false;
    return NULL;
}

/* Who waits for an answer to what has not left is to ask, and is told then. */
static void wake_reader(struct slot *s)
{
    s->readable = true;
    if (s->reader)
        fiber_wake(s->reader);
}

/* The batch has made a try; what is left is tried alone, which tells a full socket from a call that was interrupted. */
static void finish(struct sys_send *w)
{
    struct slot *s = slot_find(w->fd);
    size_t done = w->result > 0 ? (size_t)w->result : 0, more = 0;
    s->kept = false;
    if (w->result < 0 && !passing((int)-w->result))
        s->failed = err_errno((int)-w->result);
    else if (done < w->n)
        s->failed = put(w->fd, w->p + done, w->n - done, w->last, &more);
    done += more;
    if (!s->failed && done < w->n)
        s->failed = set_aside(w->fd, s, w->p + done, w->n - done);
    if (s->failed)
        wake_reader(s);
}

bool outbox_keep(int fd, struct slot *s, const struct iovec *v, int n, bool last)
{
    struct outbox *o = &loop_here->outbox;
    size_t total = 0;
    for (int i = 0; i < n; i++)
        total += v[i].iov_len;
    if (total > OUTBOX_SMALL)
        return false;
    bool behind = s->kept && o->write[o->writes - 1].fd == fd;
    if ((s->kept || o->writes == OUTBOX_WRITES) && !behind)
        outbox_flush(loop_here);
    if (o->used + total > OUTBOX_BYTES) {
        outbox_flush(loop_here);
        behind = false;
    }
    if (s->unsent || s->failed)
        return false;
    if (!behind)
        o->write[o->writes++] = (struct sys_send){.fd = fd, .p = o->bytes + o->used};
    for (int i = 0; i < n; i++) {
        if (v[i].iov_len)
            memcpy(o->bytes + o->used, v[i].iov_base, v[i].iov_len);
        o->used += v[i].iov_len;
    }
    o->write[o->writes - 1].n += total;
    o->write[o->writes - 1].last = last;
    s->kept = true;
    return true;
}

void outbox_flush(struct loop *l)
{
    struct outbox *o = &l->outbox;
    if (o->writes > 1)
        sys_send_all(o->write, o->writes);
    for (unsigned i = 0; i < o->writes; i++)
        finish(&o->write[i]);
    o->writes = 0;
    o->used = 0;
    if (o->closes)
        sys_close_all(o->close, o->closes);
    o->closes = 0;
}

void outbox_close(int fd)
{
    struct outbox *o = &loop_here->outbox;
    if (o->closes == OUTBOX_CLOSES)
        outbox_flush(loop_here);
    o->close[o->closes++] = fd;
}

void outbox_go_on(int fd, struct slot *s)
{
    struct unsent *u = s->unsent;
    size_t done = 0;
    if (!s->failed)
        s->failed = put(fd, u->bytes + u->at, u->n - u->at, false, &done);
    u->at += done;
    s->writable = u->at == u->n || s->failed;
    if (!s->writable)
        return;
    free(u);
    s->unsent = NULL;
    if (s->failed)
        wake_reader(s);
}

void outbox_drop(int fd, struct slot *s)
{
    if (s->kept)
        outbox_flush(loop_here);
    if (s->unsent)
        outbox_go_on(fd, s);
    free(s->unsent);
    s->unsent = NULL;
}

err_t outbox_settle_now(struct slot *s)
{
    if (s->kept)
        outbox_flush(loop_here);
    return s->failed ? s->failed : s->unsent ? E_TIMEOUT : NULL;
}

err_t outbox_settle(int fd, struct slot *s, tick until)
{
    if (s->kept)
        outbox_flush(loop_here);
    while (s->unsent && !s->failed)
        TRY(slot_wait(fd, IO_WRITE, until));
    return s->failed;
}
