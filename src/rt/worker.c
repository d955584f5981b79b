/* SPDX-License-Identifier: MIT */
#include "rt/worker.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "rt/internal.h"
#include "rt/park.h"

#define WORKER_ENDED SIGUSR1 /* between our own threads; steered by nobody else */

struct worker {
    pthread_t thread;
    int index;
    bool over; /* its loop has ended; under `posting` */
    struct loop *loop;
    const struct worker_hooks *hooks;
    err_t start_error;
    struct note steer; /* one steering message at a time: worker_each waits */
    struct timer drain_end;
};

struct task { /* of worker_each */
    void (*fn)(void *arg, int index);
    void *arg;
    sem_t *done;
};

static struct worker *workers;
static int worker_total;
static sem_t started;
static pthread_mutex_t posting = PTHREAD_MUTEX_INITIALIZER;
static struct task task;
static sigset_t steering;
static pthread_t steering_thread;
static _Thread_local int index_here;

int worker_index(void)
{
    return index_here;
}

int worker_cores(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

void worker_stop(void)
{
    kill(getpid(), SIGTERM);
}

static void first_fiber(void *arg)
{
    struct worker *w = arg;
    w->start_error = w->hooks->start(w->hooks->arg, w->index);
    sem_post(&started);
}

/* The loop has ended, but worker_each may have posted to it meanwhile and is waiting. */
static void leave(struct worker *w)
{
    pthread_mutex_lock(&posting);
    w->over = true;
    if (w->loop) {
        loop_run_posts(w->loop);
        loop_close(w->loop);
        w->loop = NULL;
    }
    pthread_mutex_unlock(&posting);
    pthread_kill(steering_thread, WORKER_ENDED);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    index_here = w->index;
    err_t e = loop_open(&w->loop);
    if (!e)
        e = loop_run(w->loop, "start", first_fiber, w);
    if (e) { /* the first fiber never ran */
        w->start_error = e;
        sem_post(&started);
    }
    leave(w);
    return NULL;
}

static void run_task(struct note *n)
{
    (void)n;
    task.fn(task.arg, index_here);
    sem_post(task.done);
}

static void sem_take(sem_t *s, int count)
{
    for (; count > 0; count--)
        while (sem_wait(s) != 0)
            CHECK(errno == EINTR);
}

void worker_each(void (*fn)(void *arg, int index), void *arg)
{
    sem_t done;
    int posted = 0;
    sem_init(&done, 0, 0);
    pthread_mutex_lock(&posting);
    task = (struct task){fn, arg, &done};
    for (int i = 0; i < worker_total; i++) {
        if (workers[i].over)
            continue;
        workers[i].steer.run = run_task;
        loop_post(workers[i].loop, &workers[i].steer);
        posted++;
    }
    pthread_mutex_unlock(&posting);
    sem_take(&done, posted);
    sem_destroy(&done);
}

static void drain_over(struct timer *t)
{
    struct worker *w = LIST_ENTRY(t, struct worker, drain_end);
    loop_cancel(w->loop);
}

static void drain_one(void *arg, int index)
{
    (void)arg;
    struct worker *w = &workers[index];
    if (w->hooks->drain)
        w->hooks->drain(w->hooks->arg, index);
    park_wake_all(PARK_SHUTDOWN);
    w->drain_end.fire = drain_over;
    timer_set(&w->drain_end, after(w->hooks->drain_ms));
}

static void cancel_one(void *arg, int index)
{
    (void)arg;
    loop_cancel(workers[index].loop);
}

static void dump_one(void *arg, int index)
{
    (void)arg, (void)index;
    fiber_dump();
}

static bool all_over(void)
{
    bool over = true;
    pthread_mutex_lock(&posting);
    for (int i = 0; i < worker_total; i++)
        over = over && workers[i].over;
    pthread_mutex_unlock(&posting);
    return over;
}

static void stop(int *stops)
{
    if ((*stops)++ == 0) {
        worker_each(drain_one, NULL);
    } else {
        worker_each(cancel_one, NULL);
    }
}

/* Until every loop has ended; each of them announces its end with WORKER_ENDED. */
static void steer(const struct worker_hooks *h)
{
    int stops = 0;
    while (!all_over()) {
        int sig = sigwaitinfo(&steering, NULL);
        if (sig == SIGHUP && h->reload && !stops) {
            err_t e = h->reload(h->arg);
            (void)e; /* the hook has said what went wrong; the old state stays in force */
        } else if (sig == SIGUSR2) {
            worker_each(dump_one, NULL);
        } else if (sig == SIGTERM || sig == SIGINT) {
            stop(&stops);
        }
    }
}

static err_t start_all(const struct worker_hooks *h)
{
    err_t e = NULL;
    int made = 0;
    for (; made < h->count && !e; made++) {
        workers[made] = (struct worker){.index = made, .hooks = h};
        if (pthread_create(&workers[made].thread, NULL, worker_main, &workers[made]) != 0) {
            e = E_NO_MEMORY;
            break;
        }
    }
    worker_total = made;
    sem_take(&started, made);
    for (int i = 0; i < made && !e; i++)
        e = workers[i].start_error;
    return e;
}

err_t worker_run(const struct worker_hooks *h)
{
    steering_thread = pthread_self();
    sigemptyset(&steering);
    sigaddset(&steering, SIGHUP);
    sigaddset(&steering, SIGTERM);
    sigaddset(&steering, SIGINT);
    sigaddset(&steering, SIGUSR2);
    sigaddset(&steering, WORKER_ENDED);
    pthread_sigmask(SIG_BLOCK, &steering, NULL);
    workers = calloc((size_t)h->count, sizeof *workers);
    if (!workers)
        return E_NO_MEMORY;
    sem_init(&started, 0, 0);
    err_t e = start_all(h);
    if (e)
        kill(getpid(), SIGTERM);
    else if (h->ready)
        h->ready(h->arg);
    steer(h);
    for (int i = 0; i < worker_total; i++)
        pthread_join(workers[i].thread, NULL);
    free(workers);
    worker_total = 0;
    return e;
}
