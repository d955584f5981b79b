/* SPDX-License-Identifier: MIT */
#include "app/serve/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "app/serve/beneath.h"
#include "base/buf.h"
#include "base/pages.h"
#include "base/random.h"
#include "http/date.h"
#include "http/h1_format.h"
#include "http/media.h"
#include "http/status.h"
#include "rt/loop.h"
#include "rt/offload.h"
#include "rt/waitq.h"

struct files {
    struct beneath beneath;
    const char *cache_control;
    struct table table;
    struct list used;
    struct list loading; /* struct loading */
    size_t memory;       /* small bodies in the cache */
    uint64_t copies;     /* bytes in pages, also of files that are only being sent any more */
};

err_t files_new(int root, const char *cache_control, struct files **out)
{
    struct files *s = calloc(1, sizeof *s);
    err_t e = s ? table_init(&s->table, 64) : E_NO_MEMORY;
    if (e) {
        free(s);
        return e;
    }
    s->beneath = beneath_of(root);
    s->cache_control = cache_control;
    s->table.seed = random_u64();
    list_init(&s->used);
    list_init(&s->loading);
    *out = s;
    return NULL;
}

static bool is_small(const struct file *f)
{
    return f->body && !f->home;
}

static void file_free(struct file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    if (f->home) {
        f->home->copies -= f->size;
        pages_free(f->body, f->size);
    }
    free(f->head);
    free(f->name);
    free((char *)(uintptr_t)f->key.p);
    free(f);
}

void file_unref(struct file *f)
{
    if (f && --f->refs == 0)
        file_free(f);
}

static void forget(struct files *s, struct file *f)
{
    table_remove(&s->table, &f->link);
    list_remove(&f->used);
    s->memory -= is_small(f) ? f->size : 0;
    f->cached = false;
    file_unref(f);
}

void files_free(struct files *s)
{
    if (!s)
        return;
    while (!list_empty(&s->used))
        forget(s, LIST_ENTRY(s->used.next, struct file, used));
    table_done(&s->table);
    free(s);
}

err_t file_open_folder(struct files *s, const char *name, int *fd)
{
    return beneath_open(&s->beneath, name, O_RDONLY | O_DIRECTORY, fd);
}

/* ---- Changes ---- */

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Not by its ctime: being replaced by a rename changes that of the old file, which stays whole. */
bool file_changed(const struct file *f)
{
    struct stat st;
    return f->watched && (fstat(f->fd, &st) < 0 || st.st_size != f->st.st_size ||
                          st.st_mtim.tv_sec != f->st.st_mtim.tv_sec || st.st_mtim.tv_nsec != f->st.st_mtim.tv_nsec);
}

/* Written to just now: more could follow without the time stamp showing it, or one long write(2), which stamps the file
   when it begins, could still be going on. */
static bool is_racy(const struct file *f)
{
    const struct timespec *m = &f->st.st_mtim;
    int64_t now_s = wall_now() / TICK_S;
    if (m->tv_sec < now_s - 2 || m->tv_sec > now_s + 2)
        return false; /* some file systems have stamps beyond what nanoseconds can count */
    int64_t age = wall_now() - (m->tv_sec * TICK_S + m->tv_nsec);
    bool long_write = f->size > (uint64_t)FILE_WRITE_MAX / FILE_NS_A_BYTE;
    int64_t writing = long_write ? FILE_WRITE_MAX : (int64_t)f->size * FILE_NS_A_BYTE;
    return age > -FILE_RACY && age < FILE_RACY + writing;
}

/* ---- Reading ---- */

struct reading {
    const struct file *file;
    char *to;
    uint64_t off, n;
    bool now; /* only what is in memory */
};

static err_t read_all(void *arg)
{
    struct reading *l = arg;
    while (l->n) {
        struct iovec v = {l->to, l->n};
        ssize_t n = preadv2(l->file->fd, &v, 1, (off_t)l->off, l->now ? RWF_NOWAIT : 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return l->now && (errno == EAGAIN || errno == EOPNOTSUPP) ? E_TIMEOUT : err_errno(errno);
        if (n == 0)
            return E_CHANGED;
        l->to += n;
        l->off += (uint64_t)n;
        l->n -= (uint64_t)n;
    }
    return NULL;
}

err_t file_read(const struct file *f, char *to, uint64_t off, uint64_t n)
{
    struct reading l = {f, to, off, n, true};
    err_t e = read_all(&l);
    l.now = false;
    if (e == E_TIMEOUT)
        e = offload(read_all, &l, TICK_NEVER);
    if (!e && file_changed(f))
        e = E_CHANGED;
    return e ? fault(e, "%s", f->name) : NULL;
}

/* All of it is in memory: what others do to the file does not matter any more. */
static void settle(struct file *f, char *body)
{
    close(f->fd);
    f->fd = -1;
    f->body = body;
    f->watched = false;
}

static err_t load(struct file *f)
{
    char *both = realloc(f->head, f->head_n + f->size);
    if (!both)
        return E_NO_MEMORY;
    f->head = both;
    TRY(file_read(f, both + f->head_n, 0, f->size));
    settle(f, both + f->head_n);
    return NULL;
}

/* Into pages that the kernel may send from: nobody can write to those while they wait in sockets. Without room for them
   the file is sent from the disk, watched. */
static err_t copy(struct files *s, struct file *f)
{
    char *to = pages_new(f->size);
    if (!to)
        return NULL;
    s->copies += f->size;
    struct reading l = {f, to, 0, f->size, false};
    err_t e = offload(read_all, &l, TICK_NEVER);
    if (!e && file_changed(f))
        e = E_CHANGED;
    if (e) {
        pages_free(to, f->size);
        s->copies -= f->size;
        return e == E_CHANGED || e == E_CANCELED ? e : NULL;
    }
    settle(f, to);
    f->home = s;
    return NULL;
}

static bool has_room(const struct files *s, uint64_t size)
{
    return size <= FILE_COPY_MAX && s->copies + size <= FILE_COPIES_MAX;
}

/* Room for one more copy, if need be in place of those that nobody is sending. */
static bool make_room(struct files *s, uint64_t size)
{
    if (size > FILE_COPY_MAX)
        return false;
    for (struct list *l = s->used.next, *next; s->copies + size > FILE_COPIES_MAX && l != &s->used; l = next) {
        struct file *f = LIST_ENTRY(l, struct file, used);
        next = l->next;
        if (f->home && f->refs == 1)
            forget(s, f);
    }
    return has_room(s, size);
}

static err_t take_in(struct files *s, struct file *f)
{
    if (f->size <= FILE_SMALL)
        return load(f);
    return make_room(s, f->size) ? copy(s, f) : NULL;
}

/* ---- Loading ---- */

static void add(struct file *f, enum http_field_id id, struct slice value)
{
    f->whole.fields.v = f->fields;
    f->whole.fields.cap = FILE_FIELDS;
    (void)fields_push(&f->whole.fields, fields_name(id), value);
}

/* The head of a 200, once and for all. */
static err_t describe(const struct files *s, struct file *f)
{
    struct buf b = {0};
    const struct timespec *m = &f->st.st_mtim;
    int etag = snprintf(f->etag, sizeof f->etag, "\"%llx-%llx-%llx\"", (unsigned long long)f->st.st_ino,
                        (unsigned long long)m->tv_sec * 1000000000 + (unsigned long long)m->tv_nsec,
                        (unsigned long long)f->size);
    int length = snprintf(f->length, sizeof f->length, "%llu", (unsigned long long)f->size);
    /* Never later than Date (RFC 9110 section 8.8.2.1); such a head cannot be kept. */
    int64_t modified = m->tv_sec, now_s = wall_now() / TICK_S;
    if (modified > now_s) {
        modified = now_s;
        f->passing = true;
    }
    date_format(modified, f->modified);
    f->type = media_type(slice_z(f->name));
    f->cond = (struct cond_resource){true, slice_of(f->etag, (size_t)etag), true, modified};
    add(f, F_CONTENT_TYPE, f->type);
    add(f, F_CONTENT_LENGTH, slice_of(f->length, (size_t)length));
    add(f, F_LAST_MODIFIED, slice_of(f->modified, DATE_LENGTH));
    add(f, F_ETAG, f->cond.etag);
    add(f, F_ACCEPT_RANGES, S("bytes"));
    if (s->cache_control)
        add(f, F_CACHE_CONTROL, slice_z(s->cache_control));
    f->whole.status = 200;
    f->whole.length = f->size;
    err_t e = h1_format_status_line(&b, 200, SLICE_NONE);
    if (!e)
        e = h1_format_field(&b, fields_name(F_DATE), date_cached(now_s));
    if (!e)
        e = h1_format_fields(&b, &f->whole.fields);
    if (!e)
        e = h1_format_end(&b);
    f->head = b.p; /* also when it failed: freed with the file */
    f->head_n = b.n;
    f->dated = now_s;
    return e;
}

/* Where its date stands: behind the status line and "Date: ". */
static char *date_in(struct file *f)
{
    return f->head + status_line(200).n + fields_name(F_DATE).n + 2;
}

/* Those who are sending it would send half of the one date and half of the other: then it is written for this once. */
const struct http_response *file_head(struct file *f)
{
    int64_t now_s = wall_now() / TICK_S;
    bool alone = f->refs <= (f->cached ? 2u : 1u);
    if (f->dated != now_s && alone) {
        memcpy(date_in(f), date_cached(now_s).p, DATE_LENGTH);
        f->dated = now_s;
    }
    f->whole.whole = f->dated == now_s;
    f->whole.start = f->whole.whole ? slice_of(f->head, f->head_n - 2) : SLICE_NONE;
    return &f->whole;
}

static err_t file_new(struct files *s, int fd, const char *name, struct file **out)
{
    struct file *f = calloc(1, sizeof *f);
    if (!f) {
        close(fd);
        return E_NO_MEMORY;
    }
    f->refs = 1;
    f->fd = fd;
    f->watched = true;
    f->name = strdup(name);
    f->checked = now();
    err_t e = !f->name ? E_NO_MEMORY : fstat(fd, &f->st) < 0 ? err_errno(errno) : NULL;
    if (!e && S_ISDIR(f->st.st_mode))
        e = E_EXISTS;
    else if (!e && !S_ISREG(f->st.st_mode))
        e = E_NOT_FOUND;
    f->size = (uint64_t)f->st.st_size;
    if (!e)
        e = is_racy(f) ? E_CHANGED : describe(s, f);
    if (!e)
        e = take_in(s, f);
    if (e)
        file_free(f);
    else
        *out = f;
    return e;
}

/* ---- The cache ---- */

/* Is what the name leads to now still the same file, unchanged? Only what the kernel knows without the disk. */
static bool unchanged(const struct files *s, struct file *f)
{
    struct stat st;
    int fd = beneath_open_now(&s->beneath, f->name, O_PATH);
    if (fd < 0)
        return false;
    bool ok = fstat(fd, &st) == 0 && same(&st, &f->st);
    close(fd);
    return ok;
}

static struct file *find(struct files *s, struct slice key)
{
    uint64_t hash = slice_hash(key, s->table.seed);
    for (struct table_link *l = table_first(&s->table, hash); l; l = table_next(l, hash)) {
        struct file *f = LIST_ENTRY(l, struct file, link);
        if (slice_eq(f->key, key))
            return f;
    }
    return NULL;
}

/* One that is watched for want of room goes, too, when there is some now. */
static bool is_stale(const struct files *s, struct file *f)
{
    bool due = now() - f->checked >= FILE_FRESH;
    if (file_changed(f) || (due && (!unchanged(s, f) || (f->watched && has_room(s, f->size)))))
        return true;
    if (due)
        f->checked = now();
    return false;
}

struct file *file_cached(struct files *s, struct slice key)
{
    struct file *f = find(s, key);
    if (!f)
        return NULL;
    if (is_stale(s, f)) {
        forget(s, f);
        return NULL;
    }
    list_remove(&f->used);
    list_add_last(&s->used, &f->used);
    f->refs++;
    return f;
}

static void keep(struct files *s, struct file *f, struct slice key)
{
    char *copy = key.n <= FILE_KEY_MAX ? malloc(key.n) : NULL;
    struct file *old = find(s, key);
    if (old)
        forget(s, old);
    if (!copy)
        return;
    memcpy(copy, key.p, key.n);
    f->key = slice_of(copy, key.n);
    table_add(&s->table, &f->link, slice_hash(f->key, s->table.seed));
    list_add_last(&s->used, &f->used);
    s->memory += is_small(f) ? f->size : 0;
    f->cached = true;
    f->refs++;
    while (s->memory > FILE_MEMORY_MAX || s->table.count > FILE_ENTRIES_MAX)
        forget(s, LIST_ENTRY(s->used.next, struct file, used));
}

/* ---- Opening ---- */

static err_t open_alone(struct files *s, const char *name, struct slice key, struct file **out)
{
    int fd;
    struct file *f = NULL;
    err_t e = E_CHANGED;
    for (int i = 0; e == E_CHANGED && i < FILE_TRIES; i++) { /* one that is being written: its next state, whole */
        if (i)
            TRY(fiber_sleep(now() + FILE_RACY));
        TRY(beneath_open(&s->beneath, name, O_RDONLY, &fd));
        e = file_new(s, fd, name, &f);
    }
    TRY(e);
    if (key.n && !f->passing)
        keep(s, f, key);
    *out = f;
    return NULL;
}

struct loading { /* on the stack of the fiber that loads */
    struct list link;
    struct slice key;
    struct waitq done;
};

static struct loading *loading_find(const struct files *s, struct slice key)
{
    for (struct list *at = s->loading.next; at != &s->loading; at = at->next) {
        struct loading *l = LIST_ENTRY(at, struct loading, link);
        if (slice_eq(l->key, key))
            return l;
    }
    return NULL;
}

/* Who asks for what is being loaded waits for it: many at once shall not make as many copies. */
err_t file_open(struct files *s, const char *name, struct slice key, struct file **out)
{
    struct loading mine = {.key = key}, *other = key.n ? loading_find(s, key) : NULL;
    if (other) {
        TRY(waitq_wait(&other->done, TICK_NEVER));
        if ((*out = file_cached(s, key)))
            return NULL;
        key = SLICE_NONE; /* not to be kept, it seems */
    }
    if (!key.n)
        return open_alone(s, name, key, out);
    waitq_init(&mine.done);
    list_add_last(&s->loading, &mine.link);
    err_t e = open_alone(s, name, key, out);
    list_remove(&mine.link);
    waitq_wake(&mine.done, -1);
    return e;
}
