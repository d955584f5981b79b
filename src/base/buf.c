/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

err_t buf_grow(struct buf *b, size_t want, char **at)
{
    size_t max = b->max ? b->max : BUF_MAX;
    if (want > max || b->n > max - want)
        return E_TOO_LARGE;
    if (b->n + want > b->cap) {
        size_t cap = b->cap ? b->cap : 256;
        while (cap < b->n + want)
            cap *= 2;
        if (cap > max)
            cap = max;
        char *p = realloc(b->p, cap);
        if (!p)
            return E_NO_MEMORY;
        b->p = p;
        b->cap = cap;
    }
    *at = b->p ? b->p + b->n : NULL; /* nothing wanted of a buffer that has nothing yet */
    return NULL;
}

err_t buf_add(struct buf *b, struct slice s)
{
    char *at;
    TRY(buf_room(b, s.n, &at));
    if (s.n)
        memcpy(at, s.p, s.n);
    b->n += s.n;
    return NULL;
}

err_t buf_add_all(struct buf *b, const struct slice *v, size_t n)
{
    size_t total = 0;
    char *at;
    for (size_t i = 0; i < n; i++)
        total += v[i].n;
    TRY(buf_room(b, total, &at));
    for (size_t i = 0; i < n; at += v[i++].n)
        if (v[i].n)
            memcpy(at, v[i].p, v[i].n);
    b->n += total;
    return NULL;
}

err_t buf_add_char(struct buf *b, char c)
{
    return buf_add(b, slice_of(&c, 1));
}

err_t buf_format(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    size_t room = b->cap - b->n;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(room ? b->p + b->n : NULL, room, fmt, ap);
    va_end(ap);
    CHECK(n >= 0);
    char *at;
    err_t e = (size_t)n < room ? NULL : buf_room(b, (size_t)n + 1, &at);
    if (!e && (size_t)n >= room)
        vsnprintf(at, (size_t)n + 1, fmt, again);
    if (!e)
        b->n += (size_t)n;
    va_end(again);
    return e;
}

err_t buf_write_file(const struct buf *b, const char *path)
{
    FILE *f = fopen(path, "we");
    if (!f)
        return fault(err_errno(errno), "%s", path);
    bool whole = fwrite(b->p, 1, b->n, f) == b->n;
    whole = fclose(f) == 0 && whole;
    return whole ? NULL : fault(E_IO, "%s", path);
}

void buf_eat(struct buf *b, size_t n)
{
    CHECK(n <= b->n);
    b->n -= n;
    if (b->n && n)
        memmove(b->p, b->p + n, b->n);
}

void buf_free(struct buf *b)
{
    free(b->p);
    *b = (struct buf){.max = b->max};
}
