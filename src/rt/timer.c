/* SPDX-License-Identifier: MIT */
#include "rt/timer.h"

#include <stdbool.h>

enum { SLOT_MASK = TIMER_SLOTS - 1, CLOSE_LOOK = 64 };

void timer_wheel_init(struct timer_wheel *w, tick now)
{
    for (int l = 0; l < TIMER_LEVELS; l++) {
        w->used[l] = 0;
        for (int s = 0; s < TIMER_SLOTS; s++)
            list_init(&w->slot[l][s]);
    }
    w->turn = (uint64_t)now >> TIMER_SHIFT;
}

void timer_wheel_add(struct timer_wheel *w, struct timer *t)
{
    uint64_t turn = (uint64_t)t->at >> TIMER_SHIFT;
    if (turn < w->turn)
        turn = w->turn;
    uint64_t delta = turn - w->turn, farthest = (UINT64_C(1) << (TIMER_BITS * TIMER_LEVELS)) - 1;
    if (delta > farthest) { /* it comes up early, is seen not to be due and is put back */
        turn = w->turn + farthest;
        delta = farthest;
    }
    int level = 0;
    while (delta >> (TIMER_BITS * (level + 1)))
        level++;
    unsigned slot = (unsigned)(turn >> (TIMER_BITS * level)) & SLOT_MASK;
    t->queued = t->at;
    list_add_last(&w->slot[level][slot], &t->link);
    w->used[level] |= UINT64_C(1) << slot;
}

/* Move a slot's timers to a list of our own, so that firing may set and stop timers at will. */
static void slot_take(struct timer_wheel *w, int level, unsigned slot, struct list *out)
{
    struct list *head = &w->slot[level][slot];
    w->used[level] &= ~(UINT64_C(1) << slot);
    list_init(out);
    if (list_empty(head))
        return;
    *out = *head;
    out->next->prev = out->prev->next = out;
    list_init(head);
}

static void cascade(struct timer_wheel *w, int level)
{
    unsigned slot = (unsigned)(w->turn >> (TIMER_BITS * level)) & SLOT_MASK;
    if (slot == 0 && level + 1 < TIMER_LEVELS)
        cascade(w, level + 1);
    struct list taken;
    slot_take(w, level, slot, &taken);
    while (!list_empty(&taken)) {
        struct timer *t = LIST_ENTRY(taken.next, struct timer, link);
        list_remove(&t->link);
        timer_wheel_add(w, t);
    }
}

static void fire_slot(struct timer_wheel *w, tick now)
{
    struct list taken;
    unsigned slot = (unsigned)w->turn & SLOT_MASK;
    if (!(w->used[0] >> slot & 1))
        return;
    slot_take(w, 0, slot, &taken);
    while (!list_empty(&taken)) {
        struct timer *t = LIST_ENTRY(taken.next, struct timer, link);
        list_remove(&t->link);
        if (t->at <= now)
            t->fire(t);
        else
            timer_wheel_add(w, t);
    }
}

void timer_wheel_run(struct timer_wheel *w, tick now)
{
    uint64_t target = (uint64_t)now >> TIMER_SHIFT;
    for (;;) {
        fire_slot(w, now);
        if (w->turn >= target)
            return;
        uint64_t next = w->used[0] ? w->turn + 1 : (w->turn | SLOT_MASK) + 1;
        w->turn = next < target ? next : target;
        if ((w->turn & SLOT_MASK) == 0)
            cascade(w, 1);
    }
}

/* The exact earliest time in the slot that is current; a long list is not searched to its end. */
static tick earliest_here(const struct list *head, uint64_t turn)
{
    tick best = TICK_NEVER;
    int looked = 0;
    for (const struct list *l = head->next; l != head; l = l->next) {
        const struct timer *t = LIST_ENTRY(l, const struct timer, link);
        if (t->at < best)
            best = t->at;
        if (++looked == CLOSE_LOOK)
            return (tick)(turn << TIMER_SHIFT); /* many: simply come back at once */
    }
    return best;
}

tick timer_wheel_next(const struct timer_wheel *w)
{
    tick best = TICK_NEVER;
    for (int l = 0; l < TIMER_LEVELS; l++) {
        uint64_t turn = w->turn >> (TIMER_BITS * l);
        /* Level 0 looks at the current slot and the 63 after it; a higher level's current slot was emptied when its
           time began, so what stands there is a whole rotation away. */
        for (unsigned d = l ? 1 : 0; d < TIMER_SLOTS + (l ? 1u : 0u) && w->used[l]; d++) {
            unsigned slot = (unsigned)(turn + d) & SLOT_MASK;
            const struct list *head = &w->slot[l][slot];
            if (!(w->used[l] >> slot & 1) || list_empty(head))
                continue;
            tick at =
                l == 0 && d == 0 ? earliest_here(head, w->turn) : (tick)((turn + d) << (TIMER_BITS * l) << TIMER_SHIFT);
            if (at < best)
                best = at;
            break;
        }
    }
    return best;
}

void timer_wheel_set(struct timer_wheel *w, struct timer *t, tick at)
{
    if (at == TICK_NEVER) {
        timer_stop(t);
        return;
    }
    t->at = at;
    if (list_linked(&t->link)) {
        if (at >= t->queued)
            return; /* moves on by itself when its old slot comes up */
        list_remove(&t->link);
    }
    timer_wheel_add(w, t);
}

void timer_stop(struct timer *t)
{
    if (list_linked(&t->link))
        list_remove(&t->link);
}
