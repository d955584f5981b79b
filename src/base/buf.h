/* SPDX-License-Identifier: MIT */
/*
 * buf.h -- an owned, contiguous byte buffer that refuses to pass its maximum.
 *
 * {0} is a valid empty buffer with the default maximum (BUF_MAX). Whoever declares it frees it with
 * buf_free. Pointers into it are valid until the next call that may add.
 */
#pragma once

#include "base/err.h"

struct buf {
    char *p;
    size_t n;   /* bytes held */
    size_t cap; /* bytes allocated */
    size_t max; /* refuses to grow past this; 0 means BUF_MAX */
};

enum { BUF_MAX = 64 << 20 };

MUST err_t buf_grow(struct buf *, size_t want, char **at); /* for buf_room */
/* Room for `want` more bytes at `*at` (the caller then adds to n). E_TOO_LARGE past max, E_NO_MEMORY. */
MUST static inline err_t buf_room(struct buf *b, size_t want, char **at)
{
    if (!b->p || want > b->cap - b->n || (b->max && want + b->n > b->max))
        return buf_grow(b, want, at);
    *at = b->p + b->n;
    return NULL;
}
MUST err_t buf_add(struct buf *, struct slice);
MUST err_t buf_add_all(struct buf *, const struct slice *, size_t n); /* all of them or none */
MUST err_t buf_add_char(struct buf *, char);
MUST err_t buf_format(struct buf *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* All of it becomes the file's contents. E_PERMISSION, E_NOT_FOUND, E_IO..., with the path as detail. */
MUST err_t buf_write_file(const struct buf *, const char *path);
void buf_eat(struct buf *, size_t n); /* drop the first n bytes */
void buf_free(struct buf *);          /* leaves an empty, usable buffer with the same max */

static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->p, b->n};
}
