/* SPDX-License-Identifier: MIT */
/*
 * rt_planted_test.c -- silence proves nothing: bugs planted inside fibers that the sanitizers must report.
 *
 * Run by tests/planted.py in sanitizer builds: "overflow" writes behind a heap block from inside a fiber,
 * "race" has fibers of two threads count without a lock, "leak" loses memory, "kept" holds memory only on the stack
 * of a suspended fiber (which is no leak). Without an argument it checks that none of this happens by itself.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rt/loop.h"

static const char *mode = "";
static volatile int shared;
static volatile size_t eight = 8; /* hidden from the compiler, which would refuse the overflow */

__attribute__((noinline)) static void planted_overflow(void)
{
    volatile char *p = malloc(eight);
    if (!strcmp(mode, "overflow"))
        p[eight] = 1;
    free((void *)(uintptr_t)p);
}

__attribute__((noinline)) static void planted_leak(void)
{
    char *volatile p = malloc(77);
    p[0] = 1;
    p = NULL;
}

/* Long enough for both threads to be in it: one that had ended before the other began could be ordered by its end. */
static void planted_race(void)
{
    int rounds = strcmp(mode, "race") ? 1000 : 200000;
    for (int i = 0; i < rounds; i++) {
        if (!strcmp(mode, "race"))
            shared++;
        if (fiber_yield())
            return;
    }
}

static void keeps(void *arg)
{
    (void)arg;
    char *volatile held = malloc(99);
    held[0] = 1;
    err_t e = fiber_sleep(TICK_NEVER);
    if (!e)
        puts("woken without reason");
    if (strcmp(mode, "kept"))
        free(held);
}

static void body(void *arg)
{
    (void)arg;
    struct scope s;
    scope_open(&s);
    if (scope_spawn(&s, "keeps", keeps, NULL))
        return;
    planted_overflow();
    planted_race();
    if (!strcmp(mode, "leak"))
        planted_leak();
    if (!strcmp(mode, "kept"))
        exit(0); /* the leak check runs now, while the fiber sleeps */
    scope_close(&s);
}

static void *thread(void *arg)
{
    struct loop *l;
    if (loop_open(&l) || loop_run(l, "planted", body, arg))
        abort();
    loop_close(l);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t t;
    mode = argc > 1 ? argv[1] : "";
    if (pthread_create(&t, NULL, thread, NULL))
        return 2;
    if (strcmp(mode, "kept"))
        thread(NULL);
    pthread_join(t, NULL);
    puts("1..1\nok 1 - nothing planted, nothing found");
    return 0;
}
