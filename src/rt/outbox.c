/* SPDX-License-Identifier: MIT */
#include "rt/outbox.h"

#include <errno.h>
#include <stdlib.h>

#include "rt/internal.h"
#include "rt/sys.h"

/* As much as goes without waiting; the error of a socket that takes no more at all. */
static err_t put(int fd, const char *p, size_t n, size_t *done)
{
    *done = 0;
    while (*done < n) {
        struct iovec v = {(void *)(uintptr_t)(p + *done), n - *done};
        ssize_t k = sys_writev(fd, &v, 1, false);
        if (k >= 0)
            *done += (size_t)k;
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            return NULL;
        else if (errno != EINTR)
            return err_errno(errno);
    }
    return NULL;
}

/* It waits in the slot, behind what is there already, until the poller tells of room. */
static err_t set_aside(int fd, struct slot *s, const char *p, size_t n)
{
    struct unsent *u = s->unsent;
    size_t before = u ? u->n : 0;
    u = realloc(u, sizeof *u + before + n);
    if (!u)
        return E_NO_MEMORY;
    if (!before)
        u->at = 0;
    u->n = before + n;
    memcpy(u->bytes + before, p, n);
    s->unsent = u;
    TRY(slot_watch(fd, s, IO_WRITE));
    s->writable = false;
    return NULL;
}

static void send_one(int fd, struct slot *s, const char *p, size_t n)
{
    size_t done = 0;
    s->kept = false;
    if (!s->failed && !s->unsent)
        s->failed = put(fd, p, n, &done);
    if (!s->failed && done < n)
        s->failed = set_aside(fd, s, p + done, n - done);
}

bool outbox_keep(int fd, struct slot *s, const struct iovec *v, int n)
{
    struct outbox *o = &loop_here->outbox;
    size_t total = 0;
    for (int i = 0; i < n; i++)
        total += v[i].iov_len;
    if (total > OUTBOX_SMALL || s->unsent || s->failed)
        return false;
    if (o->writes == OUTBOX_WRITES || o->used + total > OUTBOX_BYTES)
        outbox_flush(loop_here);
    for (int i = 0; i < n; i++) {
        if (v[i].iov_len)
            memcpy(o->bytes + o->used, v[i].iov_base, v[i].iov_len);
        o->used += v[i].iov_len;
    }
    if (o->writes && o->write[o->writes - 1].fd == fd) {
        o->write[o->writes - 1].n += total;
    } else {
        o->write[o->writes].fd = fd;
        o->write[o->writes++].n = total;
    }
    s->kept = true;
    return true;
}

void outbox_flush(struct loop *l)
{
    struct outbox *o = &l->outbox;
    const char *at = o->bytes;
    for (unsigned i = 0; i < o->writes; at += o->write[i++].n)
        send_one(o->write[i].fd, slot_find(o->write[i].fd), at, o->write[i].n);
    o->writes = 0;
    o->used = 0;
}

void outbox_go_on(int fd, struct slot *s)
{
    struct unsent *u = s->unsent;
    size_t done = 0;
    if (!s->failed)
        s->failed = put(fd, u->bytes + u->at, u->n - u->at, &done);
    u->at += done;
    s->writable = u->at == u->n || s->failed;
    if (!s->writable)
        return;
    free(u);
    s->unsent = NULL;
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
