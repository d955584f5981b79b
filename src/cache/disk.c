/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "cache/disk_file.h"
#include "cache/disk_impl.h"
#include "rt/offload.h"

enum { TRIM_STEP = 8, PAGE = 4096, WRITING_MAX = 256, SHARE = 4 };

void disk_path(uint64_t key_name, uint64_t vary_name, char out[PATH_ROOM])
{
    snprintf(out, PATH_ROOM, "%02x/%016llx-%016llx", (unsigned)(key_name >> 56), (unsigned long long)key_name,
             (unsigned long long)vary_name);
}

static uint64_t charge(uint64_t size)
{
    return (size + PAGE - 1) / PAGE * PAGE + PAGE / 8; /* blocks, and its part of inode and folder */
}

static err_t make_folders(int dir)
{
    char name[8];
    for (int i = 0; i < 256; i++) {
        snprintf(name, sizeof name, "%02x", i);
        if (mkdirat(dir, name, 0700) && errno != EEXIST)
            return err_errno(errno);
    }
    return mkdirat(dir, "new", 0700) && errno != EEXIST ? err_errno(errno) : NULL;
}

err_t cache_disk_new(const char *path, uint64_t limit, struct cache_disk **out)
{
    if (mkdir(path, 0700) && errno != EEXIST)
        return fault(err_errno(errno), "%s", path);
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return fault(err_errno(errno), "%s", path);
    struct cache_disk *d = calloc(1, sizeof *d);
    err_t e = d ? make_folders(dir) : E_NO_MEMORY;
    if (!e)
        e = table_init(&d->table, 1024);
    if (e) {
        close(dir);
        free(d);
        return fault(e, "%s", path);
    }
    pthread_mutex_init(&d->lock, NULL);
    list_init(&d->queue);
    list_init(&d->writers);
    d->limit = limit;
    d->dir = dir;
    *out = d;
    return NULL;
}

void cache_disk_free(struct cache_disk *d)
{
    if (!d)
        return;
    while (!list_empty(&d->queue)) {
        struct disk_entry *x = LIST_ENTRY(d->queue.next, struct disk_entry, queue);
        list_remove(&x->queue);
        free(x);
    }
    table_done(&d->table);
    pthread_mutex_destroy(&d->lock);
    close(d->dir);
    free(d);
}

/* ---- The index, under the lock ---- */

struct disk_entry *disk_entry_of(struct cache_disk *d, uint64_t key_name, uint64_t vary_name)
{
    for (struct table_link *l = table_first(&d->table, key_name); l; l = table_next(l, key_name)) {
        struct disk_entry *x = LIST_ENTRY(l, struct disk_entry, link);
        if (x->key_name == key_name && x->vary_name == vary_name)
            return x;
    }
    return NULL;
}

static struct disk_entry *entry_add(struct cache_disk *d, uint64_t key_name, uint64_t vary_name, uint64_t charged)
{
    struct disk_entry *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->key_name = key_name;
    x->vary_name = vary_name;
    x->charged = charged;
    table_add(&d->table, &x->link, key_name);
    list_add_last(&d->queue, &x->queue);
    d->bytes += charged;
    d->objects++;
    return x;
}

void disk_drop(struct cache_disk *d, struct disk_entry *x)
{
    table_remove(&d->table, &x->link);
    list_remove(&x->queue);
    d->bytes -= x->writing ? 0 : x->charged;
    d->objects--;
    free(x);
}

/* The oldest that was not used since it last came by; NULL when there is none to spare. */
static struct disk_entry *victim(struct cache_disk *d)
{
    for (uint64_t left = 2 * d->objects + 1; left && !list_empty(&d->queue); left--) {
        struct disk_entry *x = LIST_ENTRY(d->queue.next, struct disk_entry, queue);
        if (!x->used && !x->writing)
            return x;
        x->used = false;
        list_remove(&x->queue);
        list_add_last(&d->queue, &x->queue);
    }
    return NULL;
}

/* ---- Start ---- */

/* One name of a folder into the index. Under the lock, so that a purge comes before or behind, not between the look at
   the file and the entry. */
static void load_name(struct cache_disk *d, int fd, const char *name, bool remove)
{
    unsigned long long key_name, vary_name;
    struct stat st;
    if (remove || sscanf(name, "%16llx-%16llx", &key_name, &vary_name) != 2) {
        unlinkat(fd, name, 0);
        return;
    }
    pthread_mutex_lock(&d->lock);
    bool there = !fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) && !disk_entry_of(d, key_name, vary_name);
    struct disk_entry *x = there ? entry_add(d, key_name, vary_name, charge((uint64_t)st.st_size)) : NULL;
    if (x)
        x->stale = !(st.st_mode & S_IWUSR);
    pthread_mutex_unlock(&d->lock);
}

static void load_names(struct cache_disk *d, const char *folder, bool remove_all)
{
    int fd = openat(d->dir, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *f; dir && (f = readdir(dir));)
        if (f->d_name[0] != '.')
            load_name(d, fd, f->d_name, remove_all);
    if (dir)
        closedir(dir);
}

void disk_load_folder(struct cache_disk *d, unsigned i)
{
    char name[8];
    pthread_mutex_lock(&d->lock);
    bool loaded = d->folder_loaded[i];
    pthread_mutex_unlock(&d->lock);
    if (loaded)
        return;
    snprintf(name, sizeof name, "%02x", i);
    load_names(d, name, false);
    pthread_mutex_lock(&d->lock);
    d->folder_loaded[i] = true;
    pthread_mutex_unlock(&d->lock);
}

/* Victims go until the limit holds, a few at a time. They are unlinked under the lock, so that what the index counts is
   never less than what the disk holds. */
static void trim(struct cache_disk *d)
{
    for (int n = TRIM_STEP; n == TRIM_STEP;) {
        struct disk_entry *x = NULL;
        char path[PATH_ROOM];
        pthread_mutex_lock(&d->lock);
        for (n = 0; n < TRIM_STEP && d->bytes > d->limit && (x = victim(d)); n++) {
            disk_path(x->key_name, x->vary_name, path);
            unlinkat(d->dir, path, 0);
            disk_drop(d, x);
        }
        pthread_mutex_unlock(&d->lock);
    }
}

static err_t load_work(void *arg)
{
    struct cache_disk *d = arg;
    for (unsigned i = 0; i < 256; i++)
        disk_load_folder(d, i);
    trim(d); /* the limit may have been lowered */
    pthread_mutex_lock(&d->lock);
    d->loaded = true;
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

err_t cache_disk_load(struct cache_disk *d, tick until)
{
    load_names(d, "new", true); /* before anybody writes there */
    return offload(load_work, d, until);
}

/* ---- Writing ---- */

/* Room for what is to be written. Other writers hold theirs: when too many do, this object stays in memory only. */
static err_t make_room(struct cache_disk *d)
{
    trim(d);
    pthread_mutex_lock(&d->lock);
    bool fits = d->bytes <= d->limit;
    pthread_mutex_unlock(&d->lock);
    return fits ? NULL : E_LIMIT;
}

static void temporary_path(const struct cache_disk_write *w, char out[PATH_ROOM])
{
    snprintf(out, PATH_ROOM, "new/%016llx", (unsigned long long)w->ticket);
}

/* `e` is how the writing went. Whoever removed the entry meanwhile, or is writing a newer one, has the last word. */
static err_t write_end(struct cache_disk_write *w, err_t e)
{
    struct cache_disk *d = w->d;
    char path[PATH_ROOM], temporary[PATH_ROOM];
    disk_path(w->key_name, w->vary_name, path);
    temporary_path(w, temporary);
    pthread_mutex_lock(&d->lock);
    struct disk_entry *x = disk_entry_of(d, w->key_name, w->vary_name);
    bool mine = x && x->ticket == w->ticket;
    if (mine && atomic_load(&w->o->invalid))
        x->stale = true; /* by the memory tier's copy */
    if (mine && !e && x->stale && fchmodat(d->dir, temporary, MODE_STALE, 0))
        e = err_errno(errno);
    if (mine && !e && renameat(d->dir, temporary, d->dir, path))
        e = err_errno(errno);
    if (!mine || e) {
        unlinkat(d->dir, temporary, 0);
        d->bytes -= w->charged;
    }
    if (mine && e)
        disk_drop(d, x);
    else if (mine)
        x->writing = false;
    list_remove(&w->link);
    d->writing--;
    w->ended = true;
    pthread_mutex_unlock(&d->lock);
    return e;
}

static err_t write_work(void *arg)
{
    struct cache_disk_write *w = arg;
    char temporary[PATH_ROOM];
    temporary_path(w, temporary);
    err_t e = make_room(w->d);
    return write_end(w, e ? e : disk_file_write(w->d->dir, temporary, w->o));
}

err_t cache_disk_begin(struct cache_disk *d, struct cache_object *o, struct cache_disk_write *out)
{
    struct cache_disk_write w = {
        .d = d, .o = o, .key_name = slice_hash(o->key, NAME_SEED), .vary_name = slice_hash(o->vary, NAME_SEED)};
    w.charged = charge(disk_file_size(o));
    if (o->partial || w.charged > d->limit / SHARE)
        return E_LIMIT;
    pthread_mutex_lock(&d->lock);
    bool room = d->loaded && d->writing < WRITING_MAX && !atomic_load(&o->invalid);
    struct disk_entry *x = room ? disk_entry_of(d, w.key_name, w.vary_name) : NULL;
    if (x) {
        char path[PATH_ROOM];
        disk_path(w.key_name, w.vary_name, path);
        unlinkat(d->dir, path, 0);
        disk_drop(d, x);
    }
    x = room ? entry_add(d, w.key_name, w.vary_name, w.charged) : NULL;
    if (x) {
        x->writing = true;
        x->ticket = w.ticket = ++d->tickets;
        d->writing++;
        *out = w;
        list_add_last(&d->writers, &out->link);
    }
    pthread_mutex_unlock(&d->lock);
    return x ? NULL : E_LIMIT;
}

err_t cache_disk_finish(struct cache_disk_write *w, tick until)
{
    err_t e = offload(write_work, w, until);
    return w->ended ? e : write_end(w, e); /* withdrawn before it began */
}

void cache_disk_abandon(struct cache_disk_write *w)
{
    write_end(w, E_CANCELED);
}

/* ---- Reading ---- */

struct find {
    struct cache_disk *d;
    char path[PATH_ROOM];
    struct cache_object *o;
};

static err_t find_work(void *arg)
{
    struct find *w = arg;
    return disk_file_read(w->d->dir, w->path, &w->o);
}

bool cache_disk_may_have(struct cache_disk *d, const struct cache_key *key)
{
    uint64_t name = slice_hash(key->text, NAME_SEED);
    pthread_mutex_lock(&d->lock);
    bool has = table_first(&d->table, name) != NULL;
    pthread_mutex_unlock(&d->lock);
    return has;
}

struct variant {
    uint64_t vary_name, ticket;
};

static int variants_of(struct cache_disk *d, uint64_t key_name, struct variant v[VARIANTS_MAX])
{
    int n = 0;
    pthread_mutex_lock(&d->lock);
    for (struct table_link *l = table_first(&d->table, key_name); l && n < VARIANTS_MAX; l = table_next(l, key_name)) {
        struct disk_entry *x = LIST_ENTRY(l, struct disk_entry, link);
        if (x->key_name == key_name && !x->writing)
            v[n++] = (struct variant){x->vary_name, x->ticket};
    }
    pthread_mutex_unlock(&d->lock);
    return n;
}

/* What came of reading a file: one that is damaged is forgotten; one that was removed or replaced meanwhile must not
   come back. */
static bool found(struct cache_disk *d, uint64_t key_name, const struct variant *v, struct cache_object *o)
{
    char path[PATH_ROOM];
    pthread_mutex_lock(&d->lock);
    struct disk_entry *x = disk_entry_of(d, key_name, v->vary_name);
    bool there = x && x->ticket == v->ticket && !x->writing;
    if (there && o) {
        o->ticket = x->ticket;
        atomic_store(&o->invalid, x->stale);
    } else if (there) {
        disk_path(key_name, v->vary_name, path);
        unlinkat(d->dir, path, 0);
        disk_drop(d, x);
    }
    pthread_mutex_unlock(&d->lock);
    return there && o;
}

static err_t read_variant(struct cache_disk *d, const struct cache_key *key, const struct variant *v,
                          struct cache_object **out, tick until)
{
    uint64_t key_name = slice_hash(key->text, NAME_SEED);
    struct find w = {.d = d};
    disk_path(key_name, v->vary_name, w.path);
    err_t e = offload(find_work, &w, until);
    *out = NULL;
    if (e == E_CANCELED || e == E_TIMEOUT)
        return e;
    if (found(d, key_name, v, w.o) && slice_eq(w.o->key, key->text))
        *out = w.o;
    else
        cache_object_unref(w.o);
    return NULL;
}

/* One that was used gets its second chance. */
static void used(struct cache_disk *d, const struct cache_object *o)
{
    pthread_mutex_lock(&d->lock);
    struct disk_entry *x = disk_entry_of(d, slice_hash(o->key, NAME_SEED), slice_hash(o->vary, NAME_SEED));
    if (x)
        x->used = true;
    pthread_mutex_unlock(&d->lock);
}

err_t cache_disk_find(struct cache_disk *d, const struct cache_key *key, const struct http_fields *request,
                      struct cache_object **out, tick until)
{
    struct variant v[VARIANTS_MAX];
    int n = variants_of(d, slice_hash(key->text, NAME_SEED), v);
    *out = NULL;
    for (int i = 0; i < n; i++) {
        struct cache_object *o;
        err_t e = read_variant(d, key, &v[i], &o, until);
        if (e) {
            cache_object_unref(*out);
            *out = NULL;
            return e;
        }
        if (o && cache_vary_matches(o->vary, request) && (!*out || o->info.date > (*out)->info.date)) {
            cache_object_unref(*out);
            *out = o;
        } else {
            cache_object_unref(o);
        }
    }
    if (*out)
        used(d, *out);
    return NULL;
}

err_t cache_disk_each(struct cache_disk *d, const struct cache_key *key, void (*fn)(void *arg, struct cache_object *),
                      void *arg, tick until)
{
    struct variant v[VARIANTS_MAX];
    int n = variants_of(d, slice_hash(key->text, NAME_SEED), v);
    for (int i = 0; i < n; i++) {
        struct cache_object *o;
        TRY(read_variant(d, key, &v[i], &o, until));
        if (o)
            fn(arg, o);
        cache_object_unref(o);
    }
    return NULL;
}

bool cache_disk_current(struct cache_disk *d, const struct cache_object *o)
{
    pthread_mutex_lock(&d->lock);
    struct disk_entry *x = disk_entry_of(d, slice_hash(o->key, NAME_SEED), slice_hash(o->vary, NAME_SEED));
    bool current = x && x->ticket == o->ticket && x->stale == atomic_load(&o->invalid);
    pthread_mutex_unlock(&d->lock);
    return current;
}

void cache_disk_stats(struct cache_disk *d, struct cache_disk_stats *out)
{
    pthread_mutex_lock(&d->lock);
    *out = (struct cache_disk_stats){.bytes = d->bytes, .limit = d->limit, .objects = d->objects};
    pthread_mutex_unlock(&d->lock);
}
