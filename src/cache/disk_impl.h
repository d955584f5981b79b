/* SPDX-License-Identifier: MIT */
/* disk_impl.h -- the index of the disk tier, for the two files that work on it. Everything here is under the lock. */
#pragma once

#include <pthread.h>

#include "base/table.h"
#include "cache/disk.h"

/* Names must be the same after a restart, so their hash has a fixed seed; a collision only displaces a file, because
   the key inside is compared. */
#define NAME_SEED UINT64_C(0x6b65792d6e616d65)
enum { PATH_ROOM = 64, VARIANTS_MAX = 16, MODE_STALE = 0400 };

struct disk_entry {
    struct table_link link; /* hash: of the key's name */
    struct list queue;
    uint64_t key_name, vary_name;
    uint64_t charged; /* bytes of disk */
    uint64_t ticket;  /* of the write that made it: a later one replaces it */
    bool used, writing, stale;
};
struct cache_disk {
    pthread_mutex_t lock;
    struct table table;
    struct list queue;   /* first = oldest */
    struct list writers; /* of struct cache_disk_write: what no folder shows yet */
    uint64_t bytes, limit, objects, tickets;
    int dir, writing;
    bool loaded; /* nothing is written before the index knows what is there: the limit would not hold */
    bool folder_loaded[256];
};

/* Read one folder into the index, unless it is there. Locks by itself. */
void disk_load_folder(struct cache_disk *, unsigned i);

/* NULL when there is none. */
struct disk_entry *disk_entry_of(struct cache_disk *, uint64_t key_name, uint64_t vary_name);
/* The file of an entry below the folder. */
void disk_path(uint64_t key_name, uint64_t vary_name, char out[PATH_ROOM]);
/* Forget it; what is being written stays charged until its writer has removed it. */
void disk_drop(struct cache_disk *, struct disk_entry *);
