/* SPDX-License-Identifier: MIT */
#include "app/mail/queue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "base/text.h"
#include "smtp/message.h"

enum { ENV_MAX = 64 << 20, ENTRIES_MAX = 100000 };

err_t queue_open(const char *dir, bool make, int *fd)
{
    if (make && mkdir(dir, 0700) && errno != EEXIST)
        return fault(err_errno(errno), "--queue %s", dir);
    *fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd < 0 ? fault(err_errno(errno), "--queue %s", dir) : NULL;
}

static void file_name(char out[QUEUE_ID + 8], const char *id, const char *tail)
{
    snprintf(out, QUEUE_ID + 8, "%s%s", id, tail);
}

static err_t write_all(int fd, struct slice s)
{
    while (s.n) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(errno);
        s = slice_from(s, (size_t)n);
    }
    return NULL;
}

/* ---- the state of a message ---- */

static err_t format_entry(struct buf *b, const struct queue_entry *q)
{
    TRY(buf_format(b, "l7-queue 1\nadded %" PRId64 "\nnext %" PRId64 "\nattempts %u\nnotify %u\nret %u\n", q->added,
                   q->next, q->attempts, q->notify, q->ret));
    TRY(buf_format(b, "from %.*s\nenvid %.*s\nlast %.*s\n", SLICE_ARG(q->from), SLICE_ARG(q->envid),
                   SLICE_ARG(q->last)));
    for (size_t i = 0; i < q->count; i++)
        TRY(buf_format(b, "%s %.*s\n", q->rcpts[i].pending ? "to" : "done", SLICE_ARG(q->rcpts[i].address)));
    return buf_add(b, S("end\n")); /* a file without it was not finished */
}

/* Under another name first; the rename makes it count. */
static err_t write_env(int dir, const struct queue_entry *q, struct slice text)
{
    char name[QUEUE_ID + 8], fresh[QUEUE_ID + 8];
    file_name(name, q->id, ".env");
    file_name(fresh, q->id, ".new");
    int fd = openat(dir, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(errno);
    err_t e = write_all(fd, text);
    if (!e && fsync(fd))
        e = err_errno(errno);
    close(fd);
    if (!e && renameat(dir, fresh, dir, name))
        e = err_errno(errno);
    if (e)
        unlinkat(dir, fresh, 0);
    if (!e && fsync(dir))
        e = err_errno(errno);
    return e;
}

err_t queue_save(int dir, const struct queue_entry *q)
{
    AUTO(buf_free) struct buf b = {0};
    TRY(format_entry(&b, q));
    err_t e = write_env(dir, q, buf_slice(&b));
    return e ? fault(e, "writing to the queue") : NULL;
}

static void set_number(struct queue_entry *q, struct slice key, uint64_t v)
{
    if (slice_eq(key, S("added")))
        q->added = (int64_t)v;
    else if (slice_eq(key, S("next")))
        q->next = (int64_t)v;
    else if (slice_eq(key, S("attempts")))
        q->attempts = (unsigned)v;
    else if (slice_eq(key, S("notify")))
        q->notify = (unsigned)v;
    else if (slice_eq(key, S("ret")))
        q->ret = (unsigned)v;
}

static bool set_line(struct queue_entry *q, struct slice key, struct slice value)
{
    uint64_t v;
    if (slice_eq(key, S("to")) || slice_eq(key, S("done"))) {
        bool pending = key.n == 2;
        q->rcpts[q->count++] = (struct queue_rcpt){value, pending};
        q->pending += pending;
    } else if (slice_eq(key, S("from"))) {
        q->from = value;
    } else if (slice_eq(key, S("envid"))) {
        q->envid = value;
    } else if (slice_eq(key, S("last"))) {
        q->last = value;
    } else if (slice_u64(value, &v)) {
        set_number(q, key, v);
    }
    return slice_eq(key, S("end"));
}

static err_t parse_entry(struct arena *a, struct slice text, struct queue_entry *q)
{
    struct slice line, key;
    size_t lines = 0;
    bool whole = false;
    for (size_t i = 0; i < text.n; i++)
        lines += text.p[i] == '\n';
    q->rcpts = ARENA_ARRAY(a, struct queue_rcpt, lines + 1);
    if (!q->rcpts)
        return E_NO_MEMORY;
    while (slice_cut(&text, '\n', &line) && !whole) {
        struct slice value = line;
        if (slice_cut(&value, ' ', &key))
            whole = set_line(q, key, value);
    }
    return whole ? NULL : E_DATA;
}

static err_t load_entry(int dir, const char *id, struct arena *a, struct queue_entry *q)
{
    char name[QUEUE_ID + 8];
    struct stat st;
    file_name(name, id, ".env");
    *q = (struct queue_entry){0};
    snprintf(q->id, sizeof q->id, "%s", id);
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(errno);
    char *p = fstat(fd, &st) == 0 && st.st_size < ENV_MAX ? arena_new(a, (size_t)st.st_size + 1, 1) : NULL;
    ssize_t n = p ? read(fd, p, (size_t)st.st_size) : -1;
    close(fd);
    if (n < 0)
        return E_IO;
    err_t e = parse_entry(a, slice_of(p, (size_t)n), q);
    return e ? fault(e, "%s of the queue", name) : NULL;
}

/* ---- adding ---- */

static err_t write_message(int dir, const char *id, const struct mime_message *m)
{
    char name[QUEUE_ID + 8];
    struct message_reader r;
    struct slice chunk;
    bool no_dots;
    file_name(name, id, ".eml");
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(errno);
    message_reader_start(&r, m);
    err_t e;
    while (!(e = message_reader_next(&r, &chunk, &no_dots)) && chunk.n)
        if ((e = write_all(fd, chunk)))
            break;
    message_reader_done(&r);
    if (!e && fsync(fd))
        e = err_errno(errno);
    close(fd);
    if (e)
        unlinkat(dir, name, 0);
    return e;
}

static err_t entry_of(const struct mail_draft *d, struct arena *a, struct queue_entry *q)
{
    q->from = d->sender.address;
    q->envid = d->envid;
    q->notify = d->notify;
    q->ret = d->ret;
    q->added = q->next = clock_wall() / TICK_S;
    q->count = q->pending = d->rcpts.n;
    q->rcpts = ARENA_ARRAY(a, struct queue_rcpt, q->count);
    for (size_t i = 0; q->rcpts && i < q->count; i++)
        q->rcpts[i] = (struct queue_rcpt){d->rcpts.v[i].address, true};
    return q->rcpts ? NULL : E_NO_MEMORY;
}

err_t queue_add(const char *path, struct mail_draft *d, char id[QUEUE_ID])
{
    struct queue_entry q = {0};
    int dir;
    TRY(mail_draft_fit(d, NULL, NULL)); /* in seven bits, so that every server takes it */
    TRY(entry_of(d, &d->wire, &q));
    TRY(queue_open(path, true, &dir));
    snprintf(q.id, sizeof q.id, "%010" PRIx64 "-%012" PRIx64, (uint64_t)q.added, random_u64() >> 16);
    err_t e = write_message(dir, q.id, &d->message);
    if (e)
        e = fault(e, "--queue %s: %s", path, fault_detail());
    if (!e && (e = queue_save(dir, &q)))
        queue_drop(dir, q.id, false); /* not taken: nothing of it stays */
    close(dir);
    snprintf(id, QUEUE_ID, "%s", q.id);
    return e;
}

void queue_drop(int dir, const char *id, bool failed)
{
    char env[QUEUE_ID + 8], other[QUEUE_ID + 8];
    file_name(env, id, ".env");
    file_name(other, id, failed ? ".failed" : ".eml");
    if (failed) {
        renameat(dir, env, dir, other);
    } else {
        unlinkat(dir, env, 0);
        fsync(dir); /* before the message goes: an envelope must never be without one */
        unlinkat(dir, other, 0);
    }
    fsync(dir);
}

int64_t queue_wait(unsigned attempts)
{
    int64_t wait = QUEUE_WAIT_FIRST;
    for (unsigned i = 1; i < attempts && wait < QUEUE_WAIT_MOST; i++)
        wait *= 2;
    return wait < QUEUE_WAIT_MOST ? wait : QUEUE_WAIT_MOST;
}

/* ---- listing ---- */

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct queue_entry *)a)->id, ((const struct queue_entry *)b)->id);
}

/* "ID.env" -> "ID" */
static bool env_id(const char *name, char id[QUEUE_ID])
{
    size_t n = strlen(name);
    if (n < 5 || n >= QUEUE_ID + 4 || strcmp(name + n - 4, ".env") != 0)
        return false;
    snprintf(id, QUEUE_ID, "%.*s", (int)(n - 4), name);
    return true;
}

static err_t read_entries(DIR *d, struct arena *a, struct queue_entry **out, size_t *n)
{
    size_t cap = 0;
    char id[QUEUE_ID];
    for (struct dirent *entry; (entry = readdir(d)) && *n < ENTRIES_MAX;) {
        if (!env_id(entry->d_name, id))
            continue;
        if (*n == cap) {
            size_t more = cap ? cap * 2 : 16;
            struct queue_entry *v = ARENA_ARRAY(a, struct queue_entry, more);
            if (!v)
                return E_NO_MEMORY;
            if (*n)
                memcpy(v, *out, *n * sizeof *v);
            *out = v, cap = more;
        }
        err_t e = load_entry(dirfd(d), id, a, &(*out)[*n]);
        if (e == E_NOT_FOUND) /* another flush has just finished it */
            continue;
        TRY(e);
        ++*n;
    }
    return NULL;
}

err_t queue_list(const char *path, struct arena *a, struct queue_entry **out, size_t *n)
{
    int fd;
    TRY(queue_open(path, false, &fd));
    DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return E_NO_MEMORY;
    }
    *out = NULL, *n = 0;
    err_t e = read_entries(d, a, out, n);
    closedir(d);
    if (!e && *n)
        qsort(*out, *n, sizeof **out, by_id);
    return e;
}
