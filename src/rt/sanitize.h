/* SPDX-License-Identifier: MIT */
/*
 * sanitize.h -- tell ASan, LSan, TSan and valgrind about stacks and switches. Empty in normal builds, but for
 * valgrind's requests, which cost a few instructions when a stack is made and none on a switch.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define L7_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define L7_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define L7_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define L7_TSAN 1
#endif

struct sanitize { /* of one context: a fiber, or a loop's own stack */
    void *asan_fake;
    const void *low;
    size_t size;
    void *tsan;
};

#ifdef L7_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#ifdef L7_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* Memory that becomes a stack, or is one no longer: frames of an earlier fiber there never returned. */
static inline void sanitize_fresh(const void *low, size_t size)
{
    (void)low, (void)size;
#ifdef L7_ASAN
    __asan_unpoison_memory_region(low, size);
#endif
}

static inline void sanitize_begin(struct sanitize *s, const void *low, size_t size)
{
    (void)s, (void)low, (void)size;
#ifdef L7_ASAN
    s->low = low;
    s->size = size;
    __lsan_register_root_region(low, size); /* memory held by a suspended fiber is not lost */
#endif
#ifdef L7_TSAN
    s->tsan = __tsan_create_fiber(0);
#endif
}

static inline void sanitize_end(struct sanitize *s)
{
    (void)s;
#ifdef L7_ASAN
    __lsan_unregister_root_region(s->low, s->size);
#endif
#ifdef L7_TSAN
    __tsan_destroy_fiber(s->tsan);
#endif
}

/* Just before switch_jump. `dying`: `from` will never run again. */
static inline void sanitize_leave(struct sanitize *from, struct sanitize *to, bool dying)
{
    (void)from, (void)to, (void)dying;
#ifdef L7_ASAN
    __sanitizer_start_switch_fiber(dying ? NULL : &from->asan_fake, to->low, to->size);
#endif
#ifdef L7_TSAN
    if (!from->tsan)
        from->tsan = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
}

/* First thing on the new stack. `from` is filled in when it is the loop's own stack, whose bounds nobody knows. */
static inline void sanitize_arrive(struct sanitize *self, struct sanitize *loop)
{
    (void)self, (void)loop;
#ifdef L7_ASAN
    const void *low;
    size_t size;
    __sanitizer_finish_switch_fiber(self->asan_fake, &low, &size);
    if (loop && !loop->low)
        loop->low = low, loop->size = size;
#endif
}
