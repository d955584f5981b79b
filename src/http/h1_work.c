/* SPDX-License-Identifier: MIT */
#include "http/h1_work.h"

#include <stdlib.h>

enum { SPARE_MAX = 64 };

static void work_free(struct h1_work *w)
{
    arena_reset(&w->arena);
    buf_free(&w->in);
    buf_free(&w->out);
    free(w);
}

static struct h1_work *work_new(void)
{
    struct h1_work *w = calloc(1, sizeof *w);
    char *at;
    if (w && (buf_room(&w->in, H1_WORK_IN, &at) || buf_room(&w->out, H1_WORK_OUT, &at))) {
        work_free(w);
        return NULL;
    }
    return w;
}

struct h1_work *h1_work_take(struct h1_spare *s)
{
    struct h1_work *w = s->first;
    if (!w)
        return work_new();
    s->first = w->next;
    s->count--;
    return w;
}

void h1_work_give(struct h1_spare *s, struct h1_work *w)
{
    arena_rewind(&w->arena);
    if (s->count >= SPARE_MAX || w->in.cap > 2 * H1_WORK_IN || w->out.cap > 2 * H1_WORK_OUT) {
        work_free(w);
        return;
    }
    w->in.n = w->out.n = w->at = 0;
    w->in.max = 0;
    w->next = s->first;
    s->first = w;
    s->count++;
}

void h1_work_trim(struct h1_spare *s, unsigned keep)
{
    for (struct h1_work *w; s->count > keep; s->count--) {
        w = s->first;
        s->first = w->next;
        work_free(w);
    }
}
