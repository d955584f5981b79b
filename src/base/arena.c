/* SPDX-License-Identifier: MIT */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

struct arena_chunk {
    struct arena_chunk *next;
    size_t size; /* bytes after this header */
    _Alignas(16) char data[];
};

enum { SPARE_MAX = 256 };
static _Thread_local struct arena_chunk *spare;
static _Thread_local int spare_count;

static struct arena_chunk *chunk_new(size_t size)
{
    size_t usual = ARENA_CHUNK - sizeof(struct arena_chunk);
    if (size <= usual && spare) {
        struct arena_chunk *c = spare;
        spare = c->next;
        spare_count--;
        return c;
    }
    if (size < usual)
        size = usual;
    struct arena_chunk *c = malloc(sizeof *c + size);
    if (c)
        c->size = size;
    return c;
}

static void chunk_drop(struct arena_chunk *c)
{
    if (c->size == ARENA_CHUNK - sizeof *c && spare_count < SPARE_MAX) {
        c->next = spare;
        spare = c;
        spare_count++;
    } else {
        free(c);
    }
}

void *arena_more(struct arena *a, size_t size)
{
    size_t cap = a->cap ? a->cap : ARENA_MAX;
    if (size > cap || a->used > cap - size)
        return NULL;
    struct arena_chunk *c = chunk_new(size);
    if (!c)
        return NULL;
    c->next = a->chunks;
    a->chunks = c;
    a->used += c->size;
    a->at = c->data + size; /* data is aligned to 16, enough for every type used here */
    a->end = c->data + c->size;
    return c->data;
}

struct slice arena_copy(struct arena *a, struct slice s)
{
    char *p = arena_new(a, s.n + 1, 1);
    if (!p)
        return SLICE_NONE;
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = 0;
    return slice_of(p, s.n);
}

struct slice arena_join(struct arena *a, const struct slice *v, size_t n)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += v[i].n;
    char *p = arena_new(a, total + 1, 1), *at = p;
    if (!p)
        return SLICE_NONE;
    for (size_t i = 0; i < n; at += v[i++].n)
        if (v[i].n)
            memcpy(at, v[i].p, v[i].n);
    *at = 0;
    return slice_of(p, total);
}

struct slice arena_format(struct arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    CHECK(n >= 0);
    char *p = arena_new(a, (size_t)n + 1, 1);
    if (p)
        vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p ? slice_of(p, (size_t)n) : SLICE_NONE;
}

void arena_reset(struct arena *a)
{
    for (struct arena_chunk *c = a->chunks, *next; c; c = next) {
        next = c->next;
        chunk_drop(c);
    }
    *a = (struct arena){.cap = a->cap};
}

void arena_rewind(struct arena *a)
{
    struct arena_chunk *c = a->chunks;
    if (!c)
        return;
    if (c->next || c->size != ARENA_CHUNK - sizeof *c)
        arena_reset(a);
    else
        a->at = c->data;
}

void arena_thread_done(void)
{
    for (struct arena_chunk *next; spare; spare = next) {
        next = spare->next;
        free(spare);
    }
    spare_count = 0;
}
