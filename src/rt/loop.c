/* SPDX-License-Identifier: MIT */
#include "rt/loop.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/stat.h"
#include "rt/internal.h"
#include "rt/sys.h"

_Thread_local struct loop *loop_here;

enum { SIGNAL_STACK = 16 << 10 };
static const tick TRIM_EVERY = 10 * TICK_S, LONG_TURN = 10 * TICK_MS;

/* ---- A stack overflow names its fiber ---- */

static void put_text(const char *z)
{
    if (write(STDERR_FILENO, z, strlen(z)) < 0)
        return;
}

static void crashed(int sig, siginfo_t *info, void *context)
{
    (void)context;
    struct loop *l = loop_here;
    const char *at = info->si_addr;
    if (l && l->running && at < l->running->stack->low && at >= l->running->stack->low - (64 << 10)) {
        put_text("l7: stack overflow in fiber ");
        put_text(l->running->name);
        put_text("\n");
    }
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigaction(sig, &usual, NULL); /* returning runs the instruction again, which ends the process as it should */
}

static void watch_overflow(struct loop *l)
{
#if !defined(L7_ASAN) && !defined(L7_TSAN)
    l->signal_stack = malloc(SIGNAL_STACK);
    stack_t alternate = {.ss_sp = l->signal_stack, .ss_size = SIGNAL_STACK};
    if (l->signal_stack && sigaltstack(&alternate, NULL) == 0) {
        struct sigaction act = {.sa_sigaction = crashed, .sa_flags = SA_SIGINFO | SA_ONSTACK};
        sigaction(SIGSEGV, &act, NULL);
    }
#else
    (void)l, (void)crashed;
#endif
}

/* ---- Opening and closing ---- */

static void trim(struct timer *t)
{
    struct loop *l = LIST_ENTRY(t, struct loop, trim);
    stack_trim(&l->stacks);
    if (l->stacks.count)
        timer_set(&l->trim, l->now + TRIM_EVERY);
}

static void read_clocks(struct loop *l)
{
    l->now = clock_now();
    l->wall = 0;
}

err_t loop_open(struct loop **out)
{
    CHECK(loop_here == NULL);
    struct loop *l = calloc(1, sizeof *l);
    if (!l)
        return E_NO_MEMORY;
    err_t e = poll_open(&l->poller);
    if (e) {
        free(l);
        return e;
    }
    read_clocks(l);
    l->ready_last = &l->ready;
    l->fiber_max = FIBER_MAX;
    l->census = getenv("L7_STACK_CENSUS") != NULL;
    l->trim.fire = trim;
    scope_open(&l->scope);
    timer_wheel_init(&l->timers, l->now);
    list_init(&l->parked);
    list_init(&l->fibers);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL); /* sendfile and splice know no MSG_NOSIGNAL */
    watch_overflow(l);
    loop_here = l;
    *out = l;
    return stat_join();
}

void loop_close(struct loop *l)
{
    CHECK(l == loop_here && l->fiber_count == 0);
    if (l->census && l->high_water_name)
        fprintf(stderr, "l7: deepest stack: %zu bytes in fiber %s\n", l->high_water, l->high_water_name);
    for (struct loop_end *end; (end = l->ends);) {
        l->ends = end->next;
        end->run(end);
    }
    outbox_flush(l);
    stack_cache_done(&l->stacks);
    slots_done(&l->slots);
    sys_thread_done();
    poll_close(l->poller);
    arena_thread_done();
    if (l->signal_stack) {
        stack_t off = {.ss_flags = SS_DISABLE};
        sigaltstack(&off, NULL);
        free(l->signal_stack);
    }
    free(l);
    loop_here = NULL;
}

void loop_at_end(struct loop_end *end)
{
    end->next = loop_here->ends;
    loop_here->ends = end;
}

struct loop *loop_self(void)
{
    return loop_here;
}

struct scope *loop_scope(struct loop *l)
{
    return &l->scope;
}

void loop_cancel(struct loop *l)
{
    l->scope.closing = true;
    for (struct list *at = l->fibers.next; at != &l->fibers; at = at->next)
        fiber_cancel(LIST_ENTRY(at, struct fiber, in_loop));
}

void loop_fiber_max(struct loop *l, size_t max)
{
    l->fiber_max = max;
}

/* ---- Time ---- */

tick now(void)
{
    return loop_here ? loop_here->now : clock_now();
}

tick after(int64_t ms)
{
    return ms < 0 ? TICK_NEVER : now() + ms * TICK_MS;
}

int64_t wall_now(void)
{
    if (!loop_here)
        return clock_wall();
    if (loop_here->wall == 0)
        loop_here->wall = clock_wall();
    return loop_here->wall;
}

void timer_set(struct timer *t, tick at)
{
    timer_wheel_set(&loop_here->timers, t, at);
}

/* ---- Turning ---- */

void loop_bury(struct loop *l)
{
    for (struct fiber *f = l->dead, *next; f; f = next) {
        next = f->ready_next;
        if (l->census && stack_depth(f->stack) > l->high_water) {
            l->high_water = stack_depth(f->stack);
            l->high_water_name = f->name;
        }
        sanitize_end(&f->sanitize);
        f->magic = 0;
        stack_give(&l->stacks, f->stack);
    }
    l->dead = NULL;
    if (!list_linked(&l->trim.link))
        timer_set(&l->trim, l->now + TRIM_EVERY);
}

void loop_post(struct loop *l, struct note *n)
{
    struct note *head = atomic_load_explicit(&l->posts, memory_order_relaxed);
    do
        n->next = head;
    while (!atomic_compare_exchange_weak_explicit(&l->posts, &head, n, memory_order_acq_rel, memory_order_relaxed));
    if (!head)
        poll_alarm(l->poller); /* whoever posted the first of a batch rings */
}

static void run_notes(struct note *first)
{
    for (struct note *next; first; first = next) {
        next = first->next;
        first->run(first);
    }
}

void loop_run_posts(struct loop *l)
{
    if (!atomic_load_explicit(&l->posts, memory_order_relaxed))
        return;
    struct note *n = atomic_exchange_explicit(&l->posts, NULL, memory_order_acq_rel), *first = NULL;
    for (struct note *next; n; n = next) { /* the stack is last-in first-out: turn it round */
        next = n->next;
        n->next = first;
        first = n;
    }
    run_notes(first);
}

void loop_later(struct note *n)
{
    n->next = loop_here->later;
    loop_here->later = n;
}

static void flush(struct loop *l)
{
    outbox_flush(l);
    for (struct note *first; (first = l->later);) {
        l->later = NULL;
        run_notes(first);
        outbox_flush(l);
    }
}

/* Those that are ready now; who becomes ready meanwhile comes in the next turn. */
static void run_ready(struct loop *l)
{
    struct fiber *f = l->ready;
    l->ready = NULL;
    l->ready_last = &l->ready;
    for (struct fiber *next; f; f = next) {
        next = f->ready_next;
        fiber_resume(l, f);
    }
}

static void turn(struct loop *l)
{
    tick until = l->ready ? l->now : timer_wheel_next(&l->timers);
    int n = poll_wait(l->poller, l->events, LOOP_EVENTS, until);
    bool ran = false;
    read_clocks(l);
    for (int i = 0; i < n; i++) {
        if (i % INBOX_PIECES == 0)
            inbox_fill(l, &l->events[i], n - i < INBOX_PIECES ? (unsigned)(n - i) : INBOX_PIECES);
        bool idle = !l->ready;
        l->more = i + 1 < n;
        slot_event(&l->events[i]);
        /* At once, so that one stack, still in the processor's cache, does for event after event. Who had yielded
           before waits until all events are in. */
        if (idle && l->ready) {
            run_ready(l);
            ran = true;
        }
    }
    fiber_catch_up(l);
    flush(l);
    loop_run_posts(l);
    timer_wheel_run(&l->timers, l->now);
    if (l->ready) {
        run_ready(l);
        ran = true;
    }
    flush(l);
    if (ran && clock_now() - l->now > LONG_TURN)
        stat_add(STAT_LONG_TURNS, 1);
}

err_t loop_run(struct loop *l, const char *name, fiber_fn *fn, void *arg)
{
    CHECK(l == loop_here && !l->running);
    err_t e = scope_spawn(&l->scope, name, fn, arg);
    while (!e && l->fiber_count)
        turn(l);
    return e;
}
