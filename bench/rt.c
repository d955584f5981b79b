/* SPDX-License-Identifier: MIT */
/*
 * rt.c -- what the runtime's primitives cost: a switch, a fiber's whole life, a yield through the loop, a timer that
 * is set again and again, and the memory of a parked connection. The switch stands beside libc's swapcontext in the
 * same run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <ucontext.h>

#include "rt/io.h"
#include "rt/loop.h"
#include "rt/park.h"
#include "rt/switch.h"

enum { STACK = 64 << 10, SWITCHES = 5000000, FIBERS = 1000000, PARKED = 10000 };

static void *here, *there;
static ucontext_t libc_here, libc_there;

static void bounce(void *arg)
{
    (void)arg;
    for (;;)
        switch_jump(&there, here);
}

static void libc_bounce(void)
{
    for (;;)
        swapcontext(&libc_there, &libc_here);
}

static double per(tick start, int count)
{
    return (double)(clock_now() - start) / count;
}

static void bench_switch(void)
{
    char *stack = aligned_alloc(64, STACK), *libc_stack = aligned_alloc(64, STACK);
    there = switch_prepare(stack + STACK, bounce, NULL);
    tick start = clock_now();
    for (int i = 0; i < SWITCHES / 2; i++)
        switch_jump(&here, there);
    double ours = per(start, SWITCHES);
    getcontext(&libc_there);
    libc_there.uc_stack.ss_sp = libc_stack;
    libc_there.uc_stack.ss_size = STACK;
    makecontext(&libc_there, libc_bounce, 0);
    start = clock_now();
    for (int i = 0; i < SWITCHES / 20; i++)
        swapcontext(&libc_here, &libc_there);
    double libc = per(start, SWITCHES / 10);
    printf("switch                  %8.1f ns   swapcontext %.1f ns   ratio %.3f\n", ours, libc, ours / libc);
    free(stack);
    free(libc_stack);
}

static void nothing(void *arg)
{
    (void)arg;
}

static void bench_spawn(void)
{
    struct scope s;
    scope_open(&s);
    tick start = clock_now();
    for (int i = 0; i < FIBERS; i++)
        if (scope_spawn(&s, "nothing", nothing, NULL) || (i % 32 == 31 && scope_join(&s, TICK_NEVER)))
            abort();
    if (scope_join(&s, TICK_NEVER))
        abort();
    printf("spawn, run, end         %8.1f ns (32 at a time, polling between)\n", per(start, FIBERS));
    scope_close(&s);
}

static void yields(void *arg)
{
    for (int i = 0; i < *(int *)arg; i++)
        if (fiber_yield())
            return;
}

static void bench_yield(void)
{
    int each = FIBERS / 1000;
    struct scope s;
    scope_open(&s);
    for (int i = 0; i < 1000; i++)
        if (scope_spawn(&s, "yields", yields, &each))
            abort();
    tick start = clock_now();
    if (scope_join(&s, TICK_NEVER))
        abort();
    printf("yield, 1,000 fibers     %8.1f ns\n", per(start, FIBERS));
    scope_close(&s);
}

static void no_fire(struct timer *t)
{
    (void)t;
}

static void bench_timer(void)
{
    static struct timer timers[1000];
    tick start = clock_now();
    for (int i = 0; i < FIBERS; i++) {
        timers[i % 1000].fire = no_fire;
        timer_set(&timers[i % 1000], now() + 60 * TICK_S + i);
    }
    printf("idle timer set again    %8.1f ns\n", per(start, FIBERS));
    for (int i = 0; i < 1000; i++)
        timer_stop(&timers[i]);
}

/* Pss of this process in bytes, from the kernel's own accounting. */
static double pss(void)
{
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    long kib = 0;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "Pss: %ld", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return (double)kib * 1024;
}

static void no_wake(struct parked *p, enum park_why why)
{
    (void)p, (void)why;
}

static void bench_park(void)
{
    struct parked *lot = calloc(PARKED, sizeof *lot);
    double before = pss();
    int made = 0;
    for (; made < PARKED / 2; made++) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0)
            break;
        for (int k = 0; k < 2; k++) {
            struct parked *p = &lot[2 * made + k];
            *p = (struct parked){.fd = pair[k], .until = after(60000), .wake = no_wake};
            park_enter(p);
        }
    }
    printf("parked descriptor       %8.1f bytes of user memory (%d of them)\n", (pss() - before) / (2 * made),
           2 * made);
    for (int i = 0; i < 2 * made; i++) {
        park_forget(&lot[i]);
        io_close(lot[i].fd);
    }
    free(lot);
}

static void all(void *arg)
{
    (void)arg;
    bench_spawn();
    bench_yield();
    bench_timer();
    bench_park();
}

int main(void)
{
    struct loop *l;
    bench_switch();
    if (loop_open(&l) || loop_run(l, "bench", all, NULL))
        return 1;
    loop_close(l);
    return 0;
}
