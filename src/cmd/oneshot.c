/* SPDX-License-Identifier: MIT */
#include "cmd/oneshot.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "rt/io.h"
#include "rt/loop.h"

struct shot {
    err_t (*fn)(void *arg);
    void *arg;
    const struct oneshot_hooks *hooks;
    struct scope work;
    int signals; /* a signalfd */
    err_t err;
    char why[256]; /* the note of `fn`'s fiber, which dies with it */
};

static void work(void *arg)
{
    struct shot *s = arg;
    s->err = s->fn(s->arg);
    snprintf(s->why, sizeof s->why, "%s", s->err ? fault_detail() : "");
}

/* The second time somebody insists: end as the signal's default action does. */
_Noreturn static void end_by(int sig)
{
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigset_t only;
    sigaction(sig, &usual, NULL);
    sigemptyset(&only);
    sigaddset(&only, sig);
    pthread_sigmask(SIG_UNBLOCK, &only, NULL);
    raise(sig);
    _exit(128 + sig);
}

static void watch_signals(void *arg)
{
    struct shot *s = arg;
    struct signalfd_siginfo info;
    size_t got;
    int stops = 0;
    while (!io_read(s->signals, &info, sizeof info, &got, TICK_NEVER) && got == sizeof info) {
        if (info.ssi_signo == SIGQUIT)
            s->hooks->quit(s->arg);
        else if (stops++ == 0)
            scope_cancel(&s->work);
        else
            end_by((int)info.ssi_signo);
    }
}

static void first(void *arg)
{
    struct shot *s = arg;
    struct scope aside;
    scope_open(&aside);
    scope_open(&s->work);
    s->err = scope_spawn(&aside, "signals", watch_signals, s);
    if (!s->err)
        s->err = scope_spawn(&s->work, "main", work, s);
    if (!s->err && scope_join(&s->work, TICK_NEVER))
        s->err = E_CANCELED;
    scope_close(&s->work);
    scope_close(&aside);
}

static err_t block_signals(struct shot *s)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (s->hooks && s->hooks->quit)
        sigaddset(&set, SIGQUIT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    s->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return s->signals < 0 ? err_errno(errno) : NULL;
}

err_t oneshot(err_t (*fn)(void *arg), void *arg, const struct oneshot_hooks *hooks)
{
    struct shot s = {.fn = fn, .arg = arg, .hooks = hooks};
    struct loop *loop;
    TRY(block_signals(&s));
    err_t e = loop_open(&loop);
    if (!e) {
        e = loop_run(loop, "oneshot", first, &s);
        e = e ? e : s.err;
        io_close(s.signals);
        loop_close(loop);
    }
    return e && *s.why ? fault(e, "%s", s.why) : e;
}

err_t oneshot_stdin(int *fd)
{
    int in = open("/proc/self/fd/0", O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a description of our own */
    if (in < 0) { /* a socket cannot be opened anew, and is nobody else's to read */
        in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
        if (in < 0)
            return fault(err_errno(errno), "standard input");
        if (fcntl(in, F_SETFL, fcntl(in, F_GETFL) | O_NONBLOCK) < 0)
            return fault(err_errno(errno), "standard input");
    }
    *fd = in;
    return NULL;
}
