/* SPDX-License-Identifier: MIT */
#include "rt/fiber.h"

#include <stdio.h>

#include "base/stat.h"
#include "rt/internal.h"
#include "rt/switch.h"

_Thread_local int fiber_foreign;

static void timer_fired(struct timer *t)
{
    fiber_end_wait(LIST_ENTRY(t, struct fiber, timer), E_TIMEOUT);
}

static void jump_to_loop(struct fiber *f, bool dying)
{
    struct loop *l = loop_here;
    CHECK(fiber_foreign == 0); /* no switch while foreign code is on the stack */
    sanitize_leave(&f->sanitize, &l->sanitize, dying);
    switch_jump(&f->context, l->context);
    sanitize_arrive(&f->sanitize, NULL);
}

static void fiber_boot(void *arg)
{
    struct fiber *f = arg;
    sanitize_arrive(&f->sanitize, &loop_here->sanitize);
    f->fn(f->arg);
    struct loop *l = loop_here;
    struct scope *s = f->scope;
    timer_stop(&f->timer);
    list_remove(&f->in_scope);
    list_remove(&f->in_loop);
    l->fiber_count--;
    stat_add(STAT_FIBERS, -1);
    if (list_empty(&s->fibers) && s->waiting)
        fiber_wake(s->waiting);
    f->ready_next = l->dead;
    l->dead = f;
    jump_to_loop(f, true);
    UNREACHABLE();
}

struct fiber *fiber_new(struct scope *scope, const char *name, fiber_fn *fn, void *arg, err_t *why)
{
    struct loop *l = loop_here;
    CHECK(l != NULL);
    if (l->fiber_count >= l->fiber_max) {
        *why = fault(E_LIMIT, "%zu fibers", l->fiber_count);
        return NULL;
    }
    struct stack *stack = stack_take(&l->stacks);
    if (!stack) {
        *why = E_NO_MEMORY;
        return NULL;
    }
    struct fiber *f = (struct fiber *)(((uintptr_t)stack->top - sizeof *f) & ~(uintptr_t)63);
    if (l->census)
        stack_paint(stack, (char *)f);
    /* Field by field: the note's 256 bytes need no clearing, and this runs for every request. */
    f->magic = FIBER_MAGIC;
    f->canceled = f->waiting = f->shielded = false;
    f->scope = scope;
    f->in_queue = (struct list){0};
    f->timer = (struct timer){.fire = timer_fired};
    f->name = name;
    f->where = "start";
    f->born = l->now;
    f->fn = fn;
    f->arg = arg;
    f->stack = stack;
    f->note.text[0] = 0;
    f->sanitize = (struct sanitize){0};
    f->context = switch_prepare(f, fiber_boot, f);
    sanitize_begin(&f->sanitize, stack->low, (size_t)(stack->top - stack->low));
    list_add_last(&scope->fibers, &f->in_scope);
    list_add_last(&l->fibers, &f->in_loop);
    l->fiber_count++;
    stat_add(STAT_FIBERS, 1);
    return f;
}

static void resume(struct loop *l, struct fiber *f, int budget)
{
    CHECK_MAGIC(f, FIBER_MAGIC);
    l->running = f;
    l->budget = budget;
    fault_here = &f->note;
    sanitize_leave(&l->sanitize, &f->sanitize, false);
    switch_jump(&l->context, f->context);
    sanitize_arrive(&l->sanitize, NULL);
    fault_here = NULL;
    l->running = NULL;
    if (l->dead)
        loop_bury(l);
}

static void resume_behind(struct loop *l)
{
    struct behind b = l->behind[l->behind_at];
    l->behind_at = (l->behind_at + 1) % (FIBER_BEHIND + 1);
    l->behind_n--;
    resume(l, b.fiber, b.budget);
}

/* What was asked for by those who are let run first, or who give way: each gets the rest of its budget afterwards. */
static void go_on(struct loop *l)
{
    while (l->first || l->behind_n > FIBER_BEHIND) {
        if (!l->first) {
            resume_behind(l);
            continue;
        }
        struct fiber *first = l->first, *then = l->then;
        int left = l->budget;
        l->first = NULL;
        fiber_resume(l, first);
        resume(l, then, left);
    }
}

void fiber_resume(struct loop *l, struct fiber *f)
{
    resume(l, f, FIBER_BUDGET);
    go_on(l);
}

void fiber_catch_up(struct loop *l)
{
    while (l->behind_n) {
        resume_behind(l);
        go_on(l);
    }
}

void fiber_give_way(void)
{
    struct loop *l = loop_here;
    struct fiber *f = l->running;
    if (!l->more && !l->behind_n)
        return;
    CHECK(l->behind_n <= FIBER_BEHIND);
    l->behind[(l->behind_at + l->behind_n++) % (FIBER_BEHIND + 1)] = (struct behind){f, l->budget};
    f->where = "giving way";
    jump_to_loop(f, false);
}

void fiber_let(struct fiber *f)
{
    struct loop *l = loop_here;
    CHECK(l->running && !l->first);
    l->first = f;
    l->then = l->running;
    jump_to_loop(l->running, false);
}

void fiber_ready(struct loop *l, struct fiber *f)
{
    f->ready_next = NULL;
    *l->ready_last = f;
    l->ready_last = &f->ready_next;
}

void fiber_end_wait(struct fiber *f, err_t e)
{
    CHECK_MAGIC(f, FIBER_MAGIC);
    if (!f->waiting)
        return;
    f->waiting = false;
    f->woken = e;
    fiber_ready(loop_here, f);
}

void fiber_cancel(struct fiber *f)
{
    f->canceled = true;
    if (!f->shielded)
        fiber_end_wait(f, E_CANCELED);
}

void fiber_wake(struct fiber *f)
{
    fiber_end_wait(f, NULL);
}

err_t fiber_wait(const char *where, tick until)
{
    struct fiber *f = loop_here->running;
    CHECK_MAGIC(f, FIBER_MAGIC);
    if (f->canceled)
        return E_CANCELED;
    if (until <= loop_here->now)
        return E_TIMEOUT;
    if (until != TICK_NEVER)
        timer_set(&f->timer, until);
    else
        timer_stop(&f->timer); /* one left from an earlier wait would end this one */
    f->where = where;
    f->waiting = true;
    jump_to_loop(f, false);
    return f->woken;
}

void fiber_wait_uncanceled(const char *where)
{
    struct fiber *f = loop_here->running;
    CHECK_MAGIC(f, FIBER_MAGIC);
    timer_stop(&f->timer);
    f->where = where;
    f->waiting = f->shielded = true;
    jump_to_loop(f, false);
    f->shielded = false;
}

err_t fiber_sleep(tick until)
{
    err_t e = until <= loop_here->now ? fiber_yield() : fiber_wait("sleep", until);
    return e == E_TIMEOUT ? NULL : e;
}

err_t fiber_yield(void)
{
    struct fiber *f = loop_here->running;
    CHECK_MAGIC(f, FIBER_MAGIC);
    if (f->canceled)
        return E_CANCELED;
    f->where = "yield";
    fiber_ready(loop_here, f);
    jump_to_loop(f, false);
    return f->canceled ? E_CANCELED : NULL;
}

err_t fiber_spend(void)
{
    return --loop_here->budget > 0 || !loop_here->running ? NULL : fiber_yield();
}

struct fiber *fiber_self(void)
{
    return loop_here ? loop_here->running : NULL;
}

bool fiber_canceled(void)
{
    return loop_here->running && loop_here->running->canceled;
}

void fiber_dump(void)
{
    struct loop *l = loop_here;
    fprintf(stderr, "%zu fibers, %zu parked\n", l->fiber_count, l->parked_count);
    for (struct list *at = l->fibers.next; at != &l->fibers; at = at->next) {
        struct fiber *f = LIST_ENTRY(at, struct fiber, in_loop);
        fprintf(stderr, "  %-24s %9.3f s  %s%s\n", f->name, (double)(l->now - f->born) / 1e9,
                f->waiting ? f->where : "ready", f->canceled ? " (canceled)" : "");
    }
}
