/* SPDX-License-Identifier: MIT */
#include "app/mail/maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rt/offload.h"

enum { BUFFER = 64 * 1024 };

struct maildir {
    int tmp, new;
    _Atomic uint64_t count;
};
struct maildir_message {
    struct maildir *dir;
    int fd;
    char name[64];
    size_t n;
    bool cr; /* the last byte was a CR that is not written yet */
    char buffer[BUFFER];
};

static err_t open_folder(int at, const char *name, int *fd)
{
    if (mkdirat(at, name, 0700) && errno != EEXIST)
        return fault(err_errno(errno), "%s", name);
    *fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd < 0 ? fault(err_errno(errno), "%s", name) : NULL;
}

err_t maildir_open(const char *path, struct maildir **out)
{
    int top, cur = -1;
    struct maildir *m = calloc(1, sizeof *m);
    if (!m)
        return E_NO_MEMORY;
    m->tmp = m->new = -1;
    err_t e = open_folder(AT_FDCWD, path, &top);
    if (!e)
        e = open_folder(top, "tmp", &m->tmp);
    if (!e)
        e = open_folder(top, "new", &m->new);
    if (!e)
        e = open_folder(top, "cur", &cur);
    if (cur >= 0)
        close(cur);
    if (top >= 0)
        close(top);
    if (e) {
        maildir_close(m);
        return e;
    }
    *out = m;
    return NULL;
}

void maildir_close(struct maildir *m)
{
    if (!m)
        return;
    if (m->tmp >= 0)
        close(m->tmp);
    if (m->new >= 0)
        close(m->new);
    free(m);
}

err_t maildir_begin(struct maildir *dir, struct maildir_message **out)
{
    struct maildir_message *m = malloc(sizeof *m);
    if (!m)
        return E_NO_MEMORY;
    int64_t now = clock_wall();
    m->dir = dir, m->n = 0, m->cr = false;
    snprintf(m->name, sizeof m->name, "%" PRId64 ".M%" PRId64 "P%dQ%" PRIu64 ".l7", now / TICK_S,
             now % TICK_S / TICK_US, (int)getpid(), atomic_fetch_add(&dir->count, 1));
    m->fd = openat(dir->tmp, m->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (m->fd < 0) {
        err_t e = err_errno(errno);
        free(m);
        return e;
    }
    *out = m;
    return NULL;
}

static err_t write_buffer(struct maildir_message *m)
{
    size_t at = 0;
    while (at < m->n) {
        ssize_t n = write(m->fd, m->buffer + at, m->n - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(errno);
        at += (size_t)n;
    }
    m->n = 0;
    return NULL;
}

static err_t put(struct maildir_message *m, struct slice s)
{
    while (s.n) {
        size_t room = BUFFER - m->n, n = s.n < room ? s.n : room;
        memcpy(m->buffer + m->n, s.p, n);
        m->n += n;
        s = slice_from(s, n);
        if (m->n == BUFFER)
            TRY(write_buffer(m));
    }
    return NULL;
}

err_t maildir_add(struct maildir_message *m, struct slice s)
{
    while (s.n) {
        if (m->cr && s.p[0] != '\n')
            TRY(put(m, S("\r")));
        m->cr = false;
        size_t cr = slice_find(s, '\r', 0);
        TRY(put(m, slice_first(s, cr)));
        if (cr == SIZE_MAX)
            break;
        m->cr = true;
        s = slice_from(s, cr + 1);
    }
    return NULL;
}

/* On a thread that may block. */
static err_t make_durable(void *arg)
{
    struct maildir_message *m = arg;
    if (fsync(m->fd) || renameat(m->dir->tmp, m->name, m->dir->new, m->name) || fsync(m->dir->new))
        return err_errno(errno);
    return NULL;
}

err_t maildir_commit(struct maildir_message *m, char id[64], tick until)
{
    if (m->cr)
        TRY(put(m, S("\r")));
    m->cr = false;
    TRY(write_buffer(m));
    TRY(offload(make_durable, m, until));
    snprintf(id, 64, "%s", m->name);
    close(m->fd);
    free(m);
    return NULL;
}

void maildir_discard(struct maildir_message *m)
{
    close(m->fd);
    unlinkat(m->dir->tmp, m->name, 0);
    free(m);
}
