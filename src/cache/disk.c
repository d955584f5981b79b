/* SPDX-License-Identifier: MIT */
#include "cache/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "cache/disk_file.h"
#include "rt/offload.h"

/* Names must be the same after a restart, so their hash has a fixed seed; a collision only displaces a file, because
   the key inside is compared. */
#define NAME_SEED UINT64_C(0x6b65792d6e616d65)
enum { PATH_ROOM = 64, TRIM_STEP = 8, PAGE = 4096, VARIANTS_MAX = 16, WRITING_MAX = 256, SHARE = 4 };

struct entry {
    struct table_link link; /* hash: of the key's name */
    struct list queue;
    uint64_t key_name, vary_name;
    uint64_t charged; /* bytes of disk */
    uint64_t ticket;  /* of the write that made it: a later one replaces it */
    bool used, writing;
};
struct cache_disk {
    pthread_mutex_t lock;
    struct table table;
    struct list queue; /* first = oldest */
    uint64_t bytes, limit, objects, tickets;
    int dir, writing;
    bool loaded; /* nothing is written before the index knows what is there: the limit would not hold */
};

static void entry_path(uint64_t key_name, uint64_t vary_name, char out[PATH_ROOM])
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
        struct entry *x = LIST_ENTRY(d->queue.next, struct entry, queue);
        list_remove(&x->queue);
        free(x);
    }
    table_done(&d->table);
    pthread_mutex_destroy(&d->lock);
    close(d->dir);
    free(d);
}

/* ---- The index, under the lock ---- */

static struct entry *entry_find(struct cache_disk *d, uint64_t key_name, uint64_t vary_name)
{
    for (struct table_link *l = table_first(&d->table, key_name); l; l = table_next(l, key_name)) {
        struct entry *x = LIST_ENTRY(l, struct entry, link);
        if (x->key_name == key_name && x->vary_name == vary_name)
            return x;
    }
    return NULL;
}

static struct entry *entry_add(struct cache_disk *d, uint64_t key_name, uint64_t vary_name, uint64_t charged)
{
    struct entry *x = calloc(1, sizeof *x);
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

/* What is being written stays charged until its writer has removed it. */
static void entry_drop(struct cache_disk *d, struct entry *x)
{
    table_remove(&d->table, &x->link);
    list_remove(&x->queue);
    d->bytes -= x->writing ? 0 : x->charged;
    d->objects--;
    free(x);
}

/* The oldest that was not used since it last came by; NULL when there is none to spare. */
static struct entry *victim(struct cache_disk *d)
{
    for (uint64_t left = 2 * d->objects + 1; left && !list_empty(&d->queue); left--) {
        struct entry *x = LIST_ENTRY(d->queue.next, struct entry, queue);
        if (!x->used && !x->writing)
            return x;
        x->used = false;
        list_remove(&x->queue);
        list_add_last(&d->queue, &x->queue);
    }
    return NULL;
}

/* ---- Start ---- */

static void load_folder(struct cache_disk *d, const char *name, bool remove_all)
{
    int fd = openat(d->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return;
    for (struct dirent *f; (f = readdir(dir));) {
        unsigned long long key_name, vary_name;
        struct stat st;
        if (f->d_name[0] == '.' || fstatat(fd, f->d_name, &st, AT_SYMLINK_NOFOLLOW))
            continue;
        if (remove_all || sscanf(f->d_name, "%16llx-%16llx", &key_name, &vary_name) != 2) {
            unlinkat(fd, f->d_name, 0);
            continue;
        }
        pthread_mutex_lock(&d->lock);
        if (!entry_find(d, key_name, vary_name))
            entry_add(d, key_name, vary_name, charge((uint64_t)st.st_size));
        pthread_mutex_unlock(&d->lock);
    }
    closedir(dir);
}

/* Victims go until the limit holds, a few at a time. They are unlinked under the lock, so that what the index counts is
   never less than what the disk holds. */
static void trim(struct cache_disk *d)
{
    for (int n = TRIM_STEP; n == TRIM_STEP;) {
        struct entry *x = NULL;
        char path[PATH_ROOM];
        pthread_mutex_lock(&d->lock);
        for (n = 0; n < TRIM_STEP && d->bytes > d->limit && (x = victim(d)); n++) {
            entry_path(x->key_name, x->vary_name, path);
            unlinkat(d->dir, path, 0);
            entry_drop(d, x);
        }
        pthread_mutex_unlock(&d->lock);
    }
}

static err_t load_work(void *arg)
{
    struct cache_disk *d = arg;
    char name[8];
    for (int i = 0; i < 256; i++) {
        snprintf(name, sizeof name, "%02x", i);
        load_folder(d, name, false);
    }
    trim(d); /* the limit may have been lowered */
    pthread_mutex_lock(&d->lock);
    d->loaded = true;
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

err_t cache_disk_load(struct cache_disk *d, tick until)
{
    load_folder(d, "new", true); /* before anybody writes there */
    return offload(load_work, d, until);
}

/* ---- Writing ---- */

struct put {
    struct cache_disk *d;
    struct cache_object *o;
    uint64_t key_name, vary_name, ticket, charged;
};

/* Room for what is to be written. Other writers hold theirs: when too many do, this object stays in memory only. */
static err_t make_room(struct cache_disk *d)
{
    trim(d);
    pthread_mutex_lock(&d->lock);
    bool fits = d->bytes <= d->limit;
    pthread_mutex_unlock(&d->lock);
    return fits ? NULL : E_LIMIT;
}

static err_t put_work(void *arg)
{
    struct put *w = arg;
    struct cache_disk *d = w->d;
    char path[PATH_ROOM], temporary[PATH_ROOM];
    entry_path(w->key_name, w->vary_name, path);
    snprintf(temporary, sizeof temporary, "new/%016llx", (unsigned long long)w->ticket);
    err_t e = make_room(d);
    if (!e)
        e = disk_file_write(d->dir, temporary, w->o);
    pthread_mutex_lock(&d->lock);
    /* Whoever removed the entry meanwhile, or is writing a newer one, has the last word. */
    struct entry *x = entry_find(d, w->key_name, w->vary_name);
    bool mine = x && x->ticket == w->ticket;
    if (mine && !e && renameat(d->dir, temporary, d->dir, path))
        e = err_errno(errno);
    if (!mine || e) {
        unlinkat(d->dir, temporary, 0);
        d->bytes -= w->charged;
    }
    if (mine && e)
        entry_drop(d, x);
    else if (mine)
        x->writing = false;
    d->writing--;
    pthread_mutex_unlock(&d->lock);
    return e;
}

err_t cache_disk_put(struct cache_disk *d, struct cache_object *o, tick until)
{
    struct put w = {
        .d = d, .o = o, .key_name = slice_hash(o->key, NAME_SEED), .vary_name = slice_hash(o->vary, NAME_SEED)};
    w.charged = charge(disk_file_size(o));
    if (o->partial || w.charged > d->limit / SHARE)
        return E_LIMIT;
    pthread_mutex_lock(&d->lock);
    bool room = d->loaded && d->writing < WRITING_MAX;
    struct entry *x = room ? entry_find(d, w.key_name, w.vary_name) : NULL;
    if (x) {
        char path[PATH_ROOM];
        entry_path(w.key_name, w.vary_name, path);
        unlinkat(d->dir, path, 0);
        entry_drop(d, x);
    }
    x = room ? entry_add(d, w.key_name, w.vary_name, w.charged) : NULL;
    if (x) {
        x->writing = true;
        x->ticket = w.ticket = ++d->tickets;
        d->writing++;
    }
    pthread_mutex_unlock(&d->lock);
    return x ? offload(put_work, &w, until) : E_LIMIT;
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

static int names_of(struct cache_disk *d, uint64_t key_name, uint64_t vary_names[VARIANTS_MAX])
{
    int n = 0;
    pthread_mutex_lock(&d->lock);
    for (struct table_link *l = table_first(&d->table, key_name); l && n < VARIANTS_MAX; l = table_next(l, key_name)) {
        struct entry *x = LIST_ENTRY(l, struct entry, link);
        if (x->key_name == key_name && !x->writing)
            vary_names[n++] = x->vary_name;
    }
    pthread_mutex_unlock(&d->lock);
    return n;
}

/* A file that cannot be read is forgotten; one that was used gets its second chance. */
static void found(struct cache_disk *d, uint64_t key_name, uint64_t vary_name, bool damaged, bool used)
{
    char path[PATH_ROOM];
    pthread_mutex_lock(&d->lock);
    struct entry *x = entry_find(d, key_name, vary_name);
    bool forget = x && damaged && !x->writing;
    if (forget) {
        entry_path(key_name, vary_name, path);
        entry_drop(d, x);
    } else if (x && used) {
        x->used = true;
    }
    pthread_mutex_unlock(&d->lock);
    if (forget)
        unlinkat(d->dir, path, 0);
}

/* Was it removed while it was being read? Then it must not come back. */
static bool still_there(struct cache_disk *d, uint64_t key_name, uint64_t vary_name)
{
    pthread_mutex_lock(&d->lock);
    bool there = entry_find(d, key_name, vary_name) != NULL;
    pthread_mutex_unlock(&d->lock);
    return there;
}

err_t cache_disk_find(struct cache_disk *d, const struct cache_key *key, const struct http_fields *request,
                      struct cache_object **out, tick until)
{
    uint64_t key_name = slice_hash(key->text, NAME_SEED), vary_names[VARIANTS_MAX];
    int n = names_of(d, key_name, vary_names);
    *out = NULL;
    for (int i = 0; i < n; i++) {
        struct find w = {.d = d};
        entry_path(key_name, vary_names[i], w.path);
        err_t e = offload(find_work, &w, until);
        if (e == E_CANCELED || e == E_TIMEOUT)
            return e;
        bool fits = !e && slice_eq(w.o->key, key->text) && cache_vary_matches(w.o->vary, request) &&
                    still_there(d, key_name, vary_names[i]);
        found(d, key_name, vary_names[i], e != NULL, fits);
        if (fits && (!*out || w.o->info.date > (*out)->info.date)) {
            cache_object_unref(*out);
            *out = w.o;
        } else if (!e) {
            cache_object_unref(w.o);
        }
    }
    return NULL;
}

/* ---- Removing ---- */

int cache_disk_remove(struct cache_disk *d, const struct cache_key *key)
{
    uint64_t key_name = slice_hash(key->text, NAME_SEED);
    int n = 0;
    pthread_mutex_lock(&d->lock);
    for (struct table_link *l = table_first(&d->table, key_name), *next; l; l = next) {
        struct entry *x = LIST_ENTRY(l, struct entry, link);
        char path[PATH_ROOM];
        next = table_next(l, key_name);
        if (x->key_name != key_name)
            continue;
        entry_path(x->key_name, x->vary_name, path);
        entry_drop(d, x);
        /* At once: what was invalidated must not be there after a kill. */
        unlinkat(d->dir, path, 0);
        n++;
    }
    pthread_mutex_unlock(&d->lock);
    return n;
}

struct sweep {
    struct cache_disk *d;
    struct slice prefix;
    int count;
};

static void sweep_folder(struct sweep *w, const char *name)
{
    int fd = openat(w->d->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct buf key = {0};
    for (struct dirent *f; dir && (f = readdir(dir));) {
        if (f->d_name[0] == '.' || disk_file_key(fd, f->d_name, &key) || !slice_starts(buf_slice(&key), w->prefix))
            continue;
        struct cache_key k = {.text = buf_slice(&key)};
        w->count += cache_disk_remove(w->d, &k);
    }
    buf_free(&key);
    if (dir)
        closedir(dir);
}

static err_t sweep_work(void *arg)
{
    char name[8];
    for (int i = 0; i < 256; i++) {
        snprintf(name, sizeof name, "%02x", i);
        sweep_folder(arg, name);
    }
    return NULL;
}

err_t cache_disk_remove_prefix(struct cache_disk *d, struct slice prefix, int *count, tick until)
{
    struct sweep w = {.d = d, .prefix = prefix};
    TRY(offload(sweep_work, &w, until));
    *count = w.count;
    return NULL;
}

void cache_disk_stats(struct cache_disk *d, struct cache_disk_stats *out)
{
    pthread_mutex_lock(&d->lock);
    *out = (struct cache_disk_stats){.bytes = d->bytes, .limit = d->limit, .objects = d->objects};
    pthread_mutex_unlock(&d->lock);
}
