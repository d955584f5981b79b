/* SPDX-License-Identifier: MIT */
#include "rt/scope.h"

#include "rt/internal.h"

void scope_open(struct scope *s)
{
    list_init(&s->fibers);
    s->waiting = NULL;
    s->closing = false;
}

static err_t begin(struct scope *s, const char *name, fiber_fn *fn, void *arg, struct fiber **out)
{
    err_t why = NULL;
    if (s->closing)
        return E_CANCELED;
    *out = fiber_new(s, name, fn, arg, &why);
    return *out ? NULL : why;
}

err_t scope_spawn(struct scope *s, const char *name, fiber_fn *fn, void *arg)
{
    struct fiber *f;
    TRY(begin(s, name, fn, arg, &f));
    fiber_ready(loop_here, f);
    return NULL;
}

err_t scope_run(struct scope *s, const char *name, fiber_fn *fn, void *arg)
{
    struct fiber *f;
    TRY(begin(s, name, fn, arg, &f));
    fiber_let(f);
    return NULL;
}

bool scope_empty(const struct scope *s)
{
    return list_empty(&s->fibers);
}

err_t scope_join(struct scope *s, tick until)
{
    while (!scope_empty(s)) {
        s->waiting = fiber_self();
        err_t e = fiber_wait("join", until);
        s->waiting = NULL;
        TRY(e);
    }
    return NULL;
}

void scope_cancel(struct scope *s)
{
    s->closing = true;
    for (struct list *at = s->fibers.next; at != &s->fibers; at = at->next)
        fiber_cancel(LIST_ENTRY(at, struct fiber, in_scope));
}

void scope_close(struct scope *s)
{
    scope_cancel(s);
    while (!scope_empty(s)) {
        s->waiting = fiber_self();
        fiber_wait_uncanceled("close");
        s->waiting = NULL;
    }
}
