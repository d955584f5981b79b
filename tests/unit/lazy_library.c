/* SPDX-License-Identifier: MIT */
/* The library that lazy_test.c loads on demand. */
#include <stdarg.h>

double lazy_mix(int a, long b, char c, short d, unsigned e, int f, double x, float y, int on_stack);
int lazy_sum(int n, ...);
int lazy_loaded(void);

static int loaded;

__attribute__((constructor)) static void note(void)
{
    loaded++;
}

int lazy_loaded(void)
{
    return loaded;
}

double lazy_mix(int a, long b, char c, short d, unsigned e, int f, double x, float y, int on_stack)
{
    return a + 10.0 * (double)b + 100.0 * c + 1e3 * d + 1e4 * e + 1e5 * f + 1e6 * x + 1e7 * (double)y + 1e8 * on_stack;
}

int lazy_sum(int n, ...)
{
    va_list ap;
    int sum = 0;
    va_start(ap, n);
    for (int i = 0; i < n; i++)
        sum += va_arg(ap, int);
    va_end(ap);
    return sum;
}
