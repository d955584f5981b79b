/* SPDX-License-Identifier: MIT */
#include "rt/stack.h"

#include <sys/mman.h>
#include <valgrind/valgrind.h>

#include "base/check.h"
#include "rt/sanitize.h"

#if defined(L7_ASAN) || defined(L7_TSAN)
enum { USABLE = 256 << 10 };
#else
enum { USABLE = 64 << 10 };
#endif
enum { GUARD = 64 << 10, WARM_MAX = 128, PAINT = 0xa5 };

static struct stack *stack_make(unsigned k)
{
    char *map = mmap(NULL, GUARD + USABLE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (map == MAP_FAILED)
        return NULL;
    if (mprotect(map, GUARD, PROT_NONE) != 0) {
        munmap(map, GUARD + USABLE);
        return NULL;
    }
    sanitize_fresh(map + GUARD, USABLE);
    char *top = map + GUARD + USABLE - (k * 5 % 64) * 64;
    struct stack *s = (struct stack *)(top - 64);
    _Static_assert(sizeof *s <= 64, "the record fits its place");
    *s = (struct stack){.low = map + GUARD, .top = (char *)s};
    s->valgrind = (unsigned)VALGRIND_STACK_REGISTER(s->low, top);
    return s;
}

static void stack_unmap(struct stack *s)
{
    VALGRIND_STACK_DEREGISTER(s->valgrind);
    sanitize_fresh(s->low, USABLE); /* for whoever maps something there next */
    munmap(s->low - GUARD, GUARD + USABLE);
}

struct stack *stack_take(struct stack_cache *cache)
{
    struct stack *s = cache->first;
    if (!s)
        return stack_make(cache->made++);
    cache->first = s->next;
    if (--cache->count < cache->least)
        cache->least = cache->count;
    sanitize_fresh(s->low, (size_t)(s->top - s->low));
    return s;
}

void stack_give(struct stack_cache *cache, struct stack *s)
{
    if (cache->count >= WARM_MAX) {
        stack_unmap(s);
        return;
    }
    s->next = cache->first;
    cache->first = s;
    cache->count++;
}

static void drop(struct stack_cache *cache, unsigned n)
{
    for (; n && cache->first; n--) {
        struct stack *s = cache->first;
        cache->first = s->next;
        cache->count--;
        stack_unmap(s);
    }
}

void stack_trim(struct stack_cache *cache)
{
    drop(cache, cache->least);
    cache->least = cache->count;
}

void stack_cache_done(struct stack_cache *cache)
{
    drop(cache, cache->count);
}

void stack_paint(struct stack *s, char *from)
{
    memset(s->low, PAINT, (size_t)(from - s->low));
}

size_t stack_depth(const struct stack *s)
{
    const char *p = s->low;
    while (p < s->top && (uint8_t)*p == PAINT)
        p++;
    return (size_t)(s->top - p);
}
