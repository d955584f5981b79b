/* SPDX-License-Identifier: MIT */
/*
 * file.h -- files beneath a root, ready to be sent, and the cache of them. Private to app/serve.
 *
 * Each worker has a cache of its own, keyed by the request's path as it came, so that a hit decodes nothing. A small
 * file is kept in memory, a middling one in pages of its own, which sockets take by reference, a large one as an open
 * descriptor; all with the head of a 200 already written. What was looked at FILE_FRESH ago is looked at again
 * before it is used: an entry whose file was replaced or changed is loaded anew. Replacing by rename makes a new file,
 * so what is being sent of the old one stays whole. Copies cannot be written to by others; how the large ones are kept
 * from passing half old and half new says answer.c.
 */
#pragma once

#include <sys/stat.h>

#include "base/list.h"
#include "base/table.h"
#include "http/cond.h"
#include "http/exchange.h"

enum {
    FILE_SMALL = 32 << 10,      /* kept in memory up to this size */
    FILE_MEMORY_MAX = 32 << 20, /* of all small files of a worker */
    FILE_COPY_MAX = 16 << 20,   /* copied up to this size */
    FILE_COPIES_MAX = 48 << 20, /* of all copies of a worker */
    FILE_ENTRIES_MAX = 2048,    /* of a worker; larger files hold a descriptor each */
    FILE_KEY_MAX = 1024,        /* longer paths are not kept */
    FILE_FIELDS = 7,
    FILE_TRIES = 50,    /* FILE_RACY apart, at a file that is being written */
    FILE_NS_A_BYTE = 2, /* 500 MB/s */
};
#define FILE_FRESH     (500 * TICK_MS)
#define FILE_RACY      (20 * TICK_MS)  /* two writes so close may bear the same time stamp */
#define FILE_WRITE_MAX (400 * TICK_MS) /* how long we believe that one write(2) may last, at FILE_NS_A_BYTE */

struct files; /* one worker's cache */

struct file {
    struct table_link link;
    struct list used; /* least recently used first */
    struct slice key; /* the request's path */
    char *name;       /* beneath the root */
    unsigned refs;    /* the cache's and those who send it */
    bool cached;
    bool passing;       /* its head holds for this second only */
    bool watched;       /* `fd` is the file itself, which others can write to */
    int fd;             /* -1: in memory */
    struct files *home; /* accounts for `body`, which is pages (base/pages.h); NULL: it is small */
    char *head;         /* as `whole` sends it; the body of a small file lies behind it */
    size_t head_n;      /* with the empty line */
    char *body;
    uint64_t size;
    struct stat st;
    tick checked; /* the name was looked up then */
    struct http_field fields[FILE_FIELDS];
    struct http_response whole; /* the 200; see file_head */
    struct cond_resource cond;
    struct slice type;
    char etag[48], modified[32], length[24];
    int64_t dated; /* the second that `head` bears */
};

MUST err_t files_new(int root, const char *cache_control, struct files **);
void files_free(struct files *);

/* From the cache, if it is there and fresh or proves unchanged; NULL otherwise. A reference is the caller's. */
struct file *file_cached(struct files *, struct slice key);
/* Open `name` (beneath the root, decoded, NUL-terminated). E_NOT_FOUND (also for what is not a regular file),
   E_PERMISSION; E_EXISTS when it is a folder. With a key it goes into the cache. */
MUST err_t file_open(struct files *, const char *name, struct slice key, struct file **);
void file_unref(struct file *);
/* The 200, dated now. */
const struct http_response *file_head(struct file *);
/* Has it been written to since it was opened? Never, when it was copied. */
bool file_changed(const struct file *);
/* `n` bytes at `off` of one that has a descriptor, as they were when it was opened: else E_CHANGED. */
MUST err_t file_read(const struct file *, char *to, uint64_t off, uint64_t n);
/* A folder beneath the root, for listing it. */
MUST err_t file_open_folder(struct files *, const char *name, int *fd);
