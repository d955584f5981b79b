/* SPDX-License-Identifier: MIT */
#include "app/serve/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/random.h"
#include "http/date.h"
#include "http/h1_format.h"
#include "http/media.h"
#include "rt/loop.h"
#include "rt/offload.h"

struct files {
    int root;
    const char *cache_control;
    struct table table;
    struct list used;
    size_t memory;
};

err_t files_new(int root, const char *cache_control, struct files **out)
{
    struct files *s = calloc(1, sizeof *s);
    err_t e = s ? table_init(&s->table, 64) : E_NO_MEMORY;
    if (e) {
        free(s);
        return e;
    }
    s->root = root;
    s->cache_control = cache_control;
    s->table.seed = random_u64();
    list_init(&s->used);
    *out = s;
    return NULL;
}

static void file_free(struct file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    free(f->body);
    free(f->lines);
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
    s->memory -= f->body ? f->size : 0;
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

/* ---- Opening beneath the root ---- */

struct opening {
    const struct files *files;
    const char *name;
    int flags, fd, error;
    bool now; /* only what needs no disk */
};

static err_t open_beneath(void *arg)
{
    struct opening *o = arg;
    struct open_how how = {.flags = (unsigned)(o->flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK),
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | (o->now ? RESOLVE_CACHED : 0u)};
    do
        o->fd = (int)syscall(SYS_openat2, o->files->root, *o->name ? o->name : ".", &how, sizeof how);
    while (o->fd < 0 && errno == EINTR);
    o->error = o->fd < 0 ? errno : 0;
    return NULL;
}

/* First what the kernel can answer from memory; what needs the disk goes to another thread. EAGAIN is also what a
   rename during the walk gives. */
static err_t open_at(const struct files *s, const char *name, int flags, int *fd)
{
    struct opening o = {.files = s, .name = name, .flags = flags, .now = true};
    TRY(open_beneath(&o));
    for (int i = 0; o.fd < 0 && (o.error == EAGAIN || (o.now && o.error == EINVAL)) && i < 10; i++) {
        o.now = false;
        TRY(offload(open_beneath, &o, TICK_NEVER));
    }
    *fd = o.fd;
    if (o.fd >= 0)
        return NULL;
    /* EXDEV: it would leave the root; ENXIO, ENODEV: a socket or a device. */
    switch (o.error) {
    case EXDEV:
    case ELOOP:
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ENXIO:
    case ENODEV:
        return E_NOT_FOUND;
    default:
        return err_errno(o.error);
    }
}

err_t file_open_folder(struct files *s, const char *name, int *fd)
{
    return open_at(s, name, O_RDONLY | O_DIRECTORY, fd);
}

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Not by its ctime: being replaced by a rename changes that of the old file, which stays whole. Once a turn is enough:
   what is sent without waiting is sent in one go. */
bool file_changed(struct file *f)
{
    struct stat st;
    if (f->fd < 0 || f->looked == now())
        return false;
    if (fstat(f->fd, &st) < 0 || st.st_size != f->st.st_size || st.st_mtim.tv_sec != f->st.st_mtim.tv_sec ||
        st.st_mtim.tv_nsec != f->st.st_mtim.tv_nsec)
        return true;
    f->looked = now();
    return false;
}

/* ---- Loading ---- */

struct loading {
    struct file *file;
    bool now;
};

static err_t read_all(void *arg)
{
    struct loading *l = arg;
    struct file *f = l->file;
    for (uint64_t at = 0; at < f->size;) {
        struct iovec v = {f->body + at, f->size - at};
        ssize_t n = preadv2(f->fd, &v, 1, (off_t)at, l->now ? RWF_NOWAIT : 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return l->now && (errno == EAGAIN || errno == EOPNOTSUPP) ? E_TIMEOUT : err_errno(errno);
        if (n == 0)
            return E_CHANGED;
        at += (uint64_t)n;
    }
    return NULL;
}

/* The whole file into memory; its descriptor is not needed any more then. */
static err_t load(struct file *f)
{
    struct loading l = {f, true};
    f->body = malloc(f->size ? f->size : 1);
    if (!f->body)
        return E_NO_MEMORY;
    err_t e = read_all(&l);
    l.now = false;
    if (e == E_TIMEOUT)
        e = offload(read_all, &l, TICK_NEVER);
    TRY(e);
    if (file_changed(f))
        return E_CHANGED;
    close(f->fd);
    f->fd = -1;
    return NULL;
}

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
                        (unsigned long long)(m->tv_sec * 1000000000 + m->tv_nsec), (unsigned long long)f->size);
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
    err_t e = h1_format_fields(&b, &f->whole.fields);
    if (e) {
        buf_free(&b);
        return e;
    }
    f->lines = b.p;
    f->whole.lines = buf_slice(&b);
    return NULL;
}

static err_t file_new(const struct files *s, int fd, const char *name, struct file **out)
{
    struct file *f = calloc(1, sizeof *f);
    if (!f) {
        close(fd);
        return E_NO_MEMORY;
    }
    f->refs = 1;
    f->fd = fd;
    f->name = strdup(name);
    f->checked = now();
    err_t e = !f->name ? E_NO_MEMORY : fstat(fd, &f->st) < 0 ? err_errno(errno) : NULL;
    if (!e && S_ISDIR(f->st.st_mode))
        e = E_EXISTS;
    else if (!e && !S_ISREG(f->st.st_mode))
        e = E_NOT_FOUND;
    f->size = (uint64_t)f->st.st_size;
    if (!e && f->size <= FILE_SMALL)
        e = load(f);
    if (!e)
        e = describe(s, f);
    if (e)
        file_free(f);
    else
        *out = f;
    return e;
}

/* A file whose time stamp is younger than this may change again without its stamp showing it. */
static const int64_t RACY = 20 * TICK_MS;

static void keep(struct files *s, struct file *f, struct slice key)
{
    char *copy = key.n <= FILE_KEY_MAX ? malloc(key.n) : NULL;
    if (!copy)
        return;
    int64_t age = wall_now() - (f->st.st_ctim.tv_sec * TICK_S + f->st.st_ctim.tv_nsec);
    if (age < RACY)
        f->checked -= FILE_FRESH;
    memcpy(copy, key.p, key.n);
    f->key = slice_of(copy, key.n);
    table_add(&s->table, &f->link, slice_hash(f->key, s->table.seed));
    list_add_last(&s->used, &f->used);
    s->memory += f->body ? f->size : 0;
    f->cached = true;
    f->refs++;
    while (s->memory > FILE_MEMORY_MAX || s->table.count > FILE_ENTRIES_MAX)
        forget(s, LIST_ENTRY(s->used.next, struct file, used));
}

err_t file_open(struct files *s, const char *name, struct slice key, struct file **out)
{
    int fd;
    struct file *f = NULL;
    err_t e = E_CHANGED;
    for (int i = 0; e == E_CHANGED && i < 5; i++) { /* one that is being written: its next state, whole */
        TRY(open_at(s, name, O_RDONLY, &fd));
        e = file_new(s, fd, name, &f);
    }
    TRY(e);
    if (key.n && !f->passing)
        keep(s, f, key);
    *out = f;
    return NULL;
}

/* ---- The cache ---- */

/* Is what the name leads to now still the same file, unchanged? Only what the kernel knows without the disk. */
static bool unchanged(const struct files *s, struct file *f)
{
    struct opening o = {.files = s, .name = f->name, .flags = O_PATH, .now = true};
    struct stat st;
    if (open_beneath(&o) || o.fd < 0)
        return false;
    bool ok = fstat(o.fd, &st) == 0 && same(&st, &f->st);
    close(o.fd);
    return ok;
}

struct file *file_cached(struct files *s, struct slice key)
{
    uint64_t hash = slice_hash(key, s->table.seed);
    for (struct table_link *l = table_first(&s->table, hash); l; l = table_next(l, hash)) {
        struct file *f = LIST_ENTRY(l, struct file, link);
        if (!slice_eq(f->key, key))
            continue;
        bool due = now() - f->checked >= FILE_FRESH;
        if (file_changed(f) || (due && !unchanged(s, f))) {
            forget(s, f);
            return NULL;
        }
        if (due)
            f->checked = now();
        list_remove(&f->used);
        list_add_last(&s->used, &f->used);
        f->refs++;
        return f;
    }
    return NULL;
}
