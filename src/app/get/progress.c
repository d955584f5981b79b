/* SPDX-License-Identifier: MIT */
/* progress.c -- one line on the terminal for what takes longer than a second: how much, how fast, how long still. */
#include <stdio.h>

#include "app/get/get_impl.h"
#include "base/text.h"
#include "rt/loop.h"

static void line(const struct run *r, uint64_t rate)
{
    char so_far[32], whole[32], speed[32], text[160];
    (void)text_size_human(r->bytes, so_far);
    (void)text_size_human(rate, speed);
    int n = snprintf(text, sizeof text, "%s", so_far);
    if (r->bytes_expected > r->bytes) {
        uint64_t left = rate ? (r->bytes_expected - r->bytes) / rate : 0;
        n = snprintf(text, sizeof text, "%s of %s (%d%%)", so_far, text_size_human(r->bytes_expected, whole),
                     (int)(100 * r->bytes / r->bytes_expected));
        if (rate && n > 0 && (size_t)n < sizeof text)
            n += snprintf(text + n, sizeof text - (size_t)n, ", %u:%02u left", (unsigned)(left / 60),
                          (unsigned)(left % 60));
    }
    fprintf(stderr, "\r\033[K%s, %s/s", text, speed);
    if (r->count > 1)
        fprintf(stderr, ", %zu of %zu", r->done, r->count);
    fflush(stderr);
}

void progress_run(void *arg)
{
    enum { HISTORY = 8 };
    struct run *r = arg;
    uint64_t seen[HISTORY] = {0};
    tick step = 500 * TICK_MS;
    bool shown = false;
    if (fiber_sleep(r->started + TICK_S))
        return;
    for (unsigned i = 0;; i++) {
        uint64_t old = seen[i % HISTORY];
        tick span = i < HISTORY ? clock_now() - r->started : HISTORY * step;
        seen[i % HISTORY] = r->bytes;
        line(r, (uint64_t)((double)(r->bytes - (i < HISTORY ? 0 : old)) / ((double)span / 1e9)));
        shown = true;
        if (fiber_sleep(clock_now() + step))
            break;
    }
    if (shown)
        fprintf(stderr, "\r\033[K");
}
