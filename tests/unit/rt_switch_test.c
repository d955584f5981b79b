/* SPDX-License-Identifier: MIT */
/*
 * rt_switch_test.c -- the switch by itself, without loop or libraries, so that it also runs cross-compiled under qemu:
 * callee-saved integer and floating-point registers survive, arguments arrive, two stacks take turns.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "rt/switch.h"

_Noreturn void check_failed(const char *expr, const char *file, int line, const char *func)
{
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, func, expr);
    abort();
}

enum { STACK = 64 << 10, ROUNDS = 10000 };
static void *loop_context, *fiber_context;
static long integers;
static double reals;

/* Enough live values that some of them must sit in callee-saved registers across the jump. */
#define STIR(jump)                                                                                                     \
    long a = 1, b = 2, c = 3, d = 4, e = 5, f = 6;                                                                     \
    double p = 1.5, q = 2.5, r = 3.5, s = 4.5, t = 5.5, u = 6.5;                                                       \
    for (int i = 0; i < ROUNDS; i++) {                                                                                 \
        a += b, b += c ^ i, c += d, d += e, e += f, f += a & 0xff;                                                     \
        p += q * 0.25, q += r * 0.5, r = s - r, s = t - s * 0.5, t += u * 0.125, u = p * 1e-3;                         \
        jump;                                                                                                          \
    }                                                                                                                  \
    integers = a + b + c + d + e + f, reals = p + q + r + s + t + u

static void on_fiber(void *arg)
{
    CHECK(arg == &fiber_context);
    STIR(switch_jump(&fiber_context, loop_context));
    for (;;)
        switch_jump(&fiber_context, loop_context);
}

__attribute__((noinline)) static void alone(void)
{
    STIR((void)0);
}

__attribute__((noinline)) static void on_loop(void)
{
    STIR(switch_jump(&loop_context, fiber_context));
}

int main(void)
{
    alone();
    long want = integers;
    double want_real = reals;
    char *stack = aligned_alloc(64, STACK);
    CHECK(stack != NULL);
    fiber_context = switch_prepare(stack + STACK, on_fiber, &fiber_context);
    integers = 0;
    on_loop();
    CHECK(integers == want && reals == want_real);
    integers = 0, reals = 0;
    switch_jump(&loop_context, fiber_context); /* the fiber's own sums are whole too */
    CHECK(integers == want && reals == want_real);
    free(stack);
    puts("1..1\nok 1 - registers survive the switch");
    return 0;
}
