/* SPDX-License-Identifier: MIT */
/* disk_purge.c -- what is stored no longer counts: removed, or marked as stale by the mode of its file. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/disk_file.h"
#include "cache/disk_impl.h"
#include "rt/offload.h"

/* One that is being written gets its mark from its writer. */
static bool mark_stale(struct cache_disk *d, struct disk_entry *x, const char *path)
{
    if (!x->writing && fchmodat(d->dir, path, MODE_STALE, 0))
        return false;
    x->stale = true;
    return true;
}

int cache_disk_purge(struct cache_disk *d, const struct cache_key *key, bool soft)
{
    uint64_t key_name = slice_hash(key->text, NAME_SEED);
    int n = 0;
    disk_load_folder(d, (unsigned)(key_name >> 56)); /* right after the start it may not be in the index yet */
    pthread_mutex_lock(&d->lock);
    for (struct table_link *l = table_first(&d->table, key_name), *next; l; l = next) {
        struct disk_entry *x = LIST_ENTRY(l, struct disk_entry, link);
        char path[PATH_ROOM];
        next = table_next(l, key_name);
        if (x->key_name != key_name || (soft && x->stale))
            continue;
        n++;
        disk_path(x->key_name, x->vary_name, path);
        if (soft && mark_stale(d, x, path))
            continue;
        disk_drop(d, x);
        /* At once: what was purged must not be there after a kill. */
        unlinkat(d->dir, path, 0);
    }
    pthread_mutex_unlock(&d->lock);
    return n;
}

/* What is being written is in no folder yet. */
static int purge_writers(struct cache_disk *d, struct slice prefix, bool soft)
{
    int n = 0;
    pthread_mutex_lock(&d->lock);
    for (struct list *l = d->writers.next; l != &d->writers; l = l->next) {
        struct cache_disk_write *w = LIST_ENTRY(l, struct cache_disk_write, link);
        struct disk_entry *x = disk_entry_of(d, w->key_name, w->vary_name);
        if (!x || x->ticket != w->ticket || !slice_starts(w->o->key, prefix) || (soft && x->stale))
            continue;
        n++;
        x->stale = true;
        if (!soft)
            disk_drop(d, x);
    }
    pthread_mutex_unlock(&d->lock);
    return n;
}

struct sweep {
    struct cache_disk *d;
    struct slice prefix;
    bool soft;
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
        w->count += cache_disk_purge(w->d, &k, w->soft);
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

err_t cache_disk_purge_prefix(struct cache_disk *d, struct slice prefix, bool soft, int *count, tick until)
{
    struct sweep w = {.d = d, .prefix = prefix, .soft = soft, .count = purge_writers(d, prefix, soft)};
    TRY(offload(sweep_work, &w, until));
    *count = w.count;
    return NULL;
}
