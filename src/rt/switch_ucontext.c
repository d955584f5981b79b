/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

#include "base/check.h"
#include "rt/switch.h"

/* The contexts live on the stacks that they describe: a new one at the top, a saved one in switch_jump's frame. */
struct start {
    ucontext_t context;
    void (*boot)(void *arg);
    void *arg;
};

/* makecontext passes ints, so the pointer travels in two halves. */
static void enter(unsigned high, unsigned low)
{
    struct start *s = (struct start *)((uintptr_t)high << 32 | low);
    s->boot(s->arg);
    UNREACHABLE();
}

void *switch_prepare(void *top, void (*boot)(void *arg), void *arg)
{
    enum { ROOM = 32 << 10 }; /* what is certainly free below the top; the size only places the first frame */
    struct start *s = (struct start *)(((uintptr_t)top - sizeof *s) & ~(uintptr_t)63);
    CHECK(getcontext(&s->context) == 0);
    s->boot = boot;
    s->arg = arg;
    s->context.uc_link = NULL;
    s->context.uc_stack.ss_sp = (char *)s - ROOM;
    s->context.uc_stack.ss_size = ROOM;
    makecontext(&s->context, (void (*)(void))enter, 2, (unsigned)((uintptr_t)s >> 32), (unsigned)(uintptr_t)s);
    return &s->context;
}

void switch_jump(void **save, void *to)
{
    ucontext_t here;
    // cppcheck-suppress autoVariables ; it lives as long as this context is suspended
    *save = &here;
    CHECK(swapcontext(&here, to) == 0);
}
