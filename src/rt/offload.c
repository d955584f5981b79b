/* SPDX-License-Identifier: MIT */
#include "rt/offload.h"

#include <pthread.h>

#include "base/thread.h"
#include "rt/internal.h"

struct job { /* on the calling fiber's stack */
    struct note done;
    struct list link;
    err_t (*fn)(void *);
    void *arg;
    err_t result;
    struct fault_note detail; /* what `fn` noted, for the calling fiber */
    struct loop *loop;
    struct fiber *fiber;
    enum { QUEUED, RUNNING, FINISHED } state;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static struct list jobs = {&jobs, &jobs};
static int threads, idle, queued;

static void take_off(struct job *j)
{
    list_remove(&j->link);
    queued--;
}

static void finished(struct note *n)
{
    struct job *j = LIST_ENTRY(n, struct job, done);
    j->state = FINISHED;
    fiber_wake(j->fiber);
}

static void *helper(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&lock);
    for (;;) {
        while (list_empty(&jobs)) {
            idle++;
            pthread_cond_wait(&work, &lock);
            idle--;
        }
        struct job *j = LIST_ENTRY(jobs.next, struct job, link);
        take_off(j);
        j->state = RUNNING;
        pthread_mutex_unlock(&lock);
        fault_here = &j->detail;
        j->result = j->fn(j->arg);
        fault_here = NULL;
        loop_post(j->loop, &j->done); /* from here on the job belongs to its fiber again */
        pthread_mutex_lock(&lock);
    }
    return NULL;
}

static err_t one_more(void)
{
    pthread_t t;
    err_t e = thread_start(&t, helper, NULL);
    if (e)
        return threads ? NULL : e;
    pthread_detach(t);
    threads++;
    return NULL;
}

/* Take it back if nobody has started it. */
static bool withdraw(struct job *j)
{
    pthread_mutex_lock(&lock);
    bool waiting = j->state == QUEUED;
    if (waiting)
        take_off(j);
    pthread_mutex_unlock(&lock);
    return waiting;
}

err_t offload(err_t (*fn)(void *), void *arg, tick until)
{
    struct job j = {.done.run = finished, .fn = fn, .arg = arg, .loop = loop_here, .fiber = fiber_self()};
    if (fiber_canceled())
        return E_CANCELED;
    pthread_mutex_lock(&lock);
    err_t e = queued >= idle && threads < OFFLOAD_THREADS ? one_more() : NULL;
    if (!e) {
        list_add_last(&jobs, &j.link);
        queued++;
    }
    pthread_cond_signal(&work);
    pthread_mutex_unlock(&lock);
    TRY(e);
    e = fiber_wait("offload", until);
    if (e && withdraw(&j))
        return e;
    while (j.state != FINISHED) /* written by `finished`, on this very loop */
        fiber_wait_uncanceled("offload");
    if (j.result && j.detail.text[0])
        memcpy(fault_here, &j.detail, sizeof j.detail);
    return j.result;
}
