/* SPDX-License-Identifier: MIT */
#include "rt/slot.h"

#include <stdlib.h>

#include "rt/internal.h"

struct slot *slot_find(int fd)
{
    struct slots *t = &loop_here->slots;
    unsigned c = (unsigned)fd / SLOT_CHUNK;
    return c < t->chunks && t->chunk[c] ? &t->chunk[c][(unsigned)fd % SLOT_CHUNK] : NULL;
}

/* The first time that a number of its chunk is asked for. */
static __attribute__((noinline)) err_t make(int fd, struct slot **out)
{
    struct slots *t = &loop_here->slots;
    unsigned c = (unsigned)fd / SLOT_CHUNK;
    CHECK(fd >= 0);
    if (c >= t->chunks) {
        unsigned chunks = t->chunks ? t->chunks * 2 : 8;
        while (chunks <= c)
            chunks *= 2;
        struct slot **p = realloc(t->chunk, chunks * sizeof *p);
        if (!p)
            return E_NO_MEMORY;
        memset(p + t->chunks, 0, (chunks - t->chunks) * sizeof *p);
        t->chunk = p;
        t->chunks = chunks;
    }
    if (!t->chunk[c] && !(t->chunk[c] = calloc(SLOT_CHUNK, sizeof(struct slot))))
        return E_NO_MEMORY;
    *out = &t->chunk[c][(unsigned)fd % SLOT_CHUNK];
    return NULL;
}

err_t slot_get(int fd, struct slot **out)
{
    *out = slot_find(fd);
    return *out ? NULL : make(fd, out);
}

static __attribute__((noinline)) err_t watch(int fd, struct slot *s, bool writing)
{
    TRY(poll_watch(loop_here->poller, fd, (uint64_t)s->generation << 32 | (uint32_t)fd, writing));
    if (!s->watched)
        s->readable = s->hangup = false; /* the poller reports what is ready now */
    s->writable = false;
    s->watched = true;
    s->both = writing;
    return NULL;
}

err_t slot_watch(int fd, struct slot *s, enum io_dir dir)
{
    bool writing = dir == IO_WRITE;
    return s->watched && (s->both || !writing) ? NULL : watch(fd, s, writing);
}

err_t slot_wait(int fd, enum io_dir dir, tick until)
{
    struct slot *s;
    TRY(slot_get(fd, &s));
    TRY(slot_watch(fd, s, dir));
    struct fiber **who = dir == IO_READ ? &s->reader : &s->writer;
    CHECK(*who == NULL); /* two readers, or two writers, of one descriptor */
    *who = fiber_self();
    err_t e = fiber_wait(dir == IO_READ ? "read" : "write", until);
    *who = NULL;
    return e;
}

void slot_event(const struct ready *r)
{
    struct slot *s = slot_find((int)(uint32_t)r->token);
    if (!s || s->generation != r->token >> 32 || !s->watched)
        return; /* for an earlier user of this number */
    s->readable |= r->read || r->hangup;
    s->line = r->read ? 0 : s->line; /* somebody has come since they were counted */
    s->writable |= r->write || r->hangup;
    s->hangup |= r->hangup;
    if (s->unsent && s->writable)
        outbox_go_on((int)(uint32_t)r->token, s);
    if (s->parked && slot_readable(s)) {
        struct parked *p = s->parked;
        park_leave(p);
        p->wake(p, PARK_READY);
        return;
    }
    if (s->reader && slot_readable(s))
        fiber_wake(s->reader);
    if (s->writer && s->writable)
        fiber_wake(s->writer);
}

void slot_forget(int fd)
{
    struct slot *s = slot_find(fd);
    if (!s)
        return;
    CHECK(!s->reader && !s->writer && !s->parked && !s->kept && !s->unsent);
    inbox_drop(s);
    if (s->watched)
        poll_forget(loop_here->poller, fd);
    *s = (struct slot){.generation = s->generation + 1};
}

void slots_done(struct slots *t)
{
    for (unsigned i = 0; i < t->chunks; i++)
        free(t->chunk[i]);
    free(t->chunk);
}
