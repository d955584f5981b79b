/* SPDX-License-Identifier: MIT */
#include "base/thread.h"

#include <signal.h>

err_t thread_start(pthread_t *out, void *(*fn)(void *), void *arg)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(out, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed ? E_NO_MEMORY : NULL;
}
