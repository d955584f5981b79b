/* SPDX-License-Identifier: MIT */
#include "rt/park.h"

#include "rt/internal.h"

static void wake(struct parked *p, enum park_why why)
{
    park_leave(p);
    p->wake(p, why);
}

static void timer_fired(struct timer *t)
{
    struct parked *p = LIST_ENTRY(t, struct parked, timer);
    if (list_linked(&p->link))
        wake(p, p->until ? PARK_TIMEOUT : PARK_READY);
}

/* Was something there already when it was parked? Then it is woken next turn, never from within park_enter. */
static void wake_at_once(struct parked *p)
{
    p->timer.at = 0;
    p->until = 0;
}

void park_enter(struct parked *p)
{
    struct loop *l = loop_here;
    struct slot *s;
    CHECK(!list_linked(&p->link));
    err_t e = slot_get(p->fd, &s);
    if (!e)
        e = slot_watch(p->fd, s, IO_READ);
    list_add_last(&l->parked, &p->link);
    l->parked_count++;
    p->timer.fire = timer_fired;
    if (!e)
        s->parked = p;
    if (e || slot_readable(s))
        wake_at_once(p);
    timer_set(&p->timer, p->until);
}

void park_leave(struct parked *p)
{
    if (!list_linked(&p->link))
        return;
    struct slot *s = slot_find(p->fd);
    if (s && s->parked == p)
        s->parked = NULL;
    list_remove(&p->link);
    loop_here->parked_count--;
}

void park_forget(struct parked *p)
{
    park_leave(p);
    timer_stop(&p->timer);
}

void park_wake_all(enum park_why why)
{
    struct list *head = &loop_here->parked, taken = *head;
    if (list_empty(head))
        return;
    taken.next->prev = taken.prev->next = &taken; /* what a wake parks anew stays parked */
    list_init(head);
    while (!list_empty(&taken))
        wake(LIST_ENTRY(taken.next, struct parked, link), why);
}
