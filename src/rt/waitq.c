/* SPDX-License-Identifier: MIT */
#include "rt/waitq.h"

#include "rt/internal.h"

void waitq_init(struct waitq *q)
{
    list_init(&q->waiters);
}

err_t waitq_wait(struct waitq *q, tick until)
{
    struct fiber *f = fiber_self();
    list_add_last(&q->waiters, &f->in_queue);
    err_t e = fiber_wait("waitq", until);
    list_remove(&f->in_queue); /* still in when the time or the cancellation ended the wait */
    return e;
}

void waitq_wake(struct waitq *q, int count)
{
    while (count != 0 && !list_empty(&q->waiters)) {
        struct fiber *f = LIST_ENTRY(q->waiters.next, struct fiber, in_queue);
        count -= f->waiting; /* one whose time has passed, but who has not run since, has no use for it */
        list_remove(&f->in_queue);
        fiber_wake(f);
    }
}

bool waitq_empty(const struct waitq *q)
{
    return list_empty(&q->waiters);
}
