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
    for (; count != 0 && !list_empty(&q->waiters); count--) {
        struct fiber *f = LIST_ENTRY(q->waiters.next, struct fiber, in_queue);
        list_remove(&f->in_queue);
        fiber_wake(f);
    }
}

bool waitq_empty(const struct waitq *q)
{
    return list_empty(&q->waiters);
}
