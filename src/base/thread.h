/* SPDX-License-Identifier: MIT */
/* thread.h -- helper threads (log writer, offload): they take no signals, so that the signals that steer a process
   reach the thread that waits for them. */
#pragma once

#include <pthread.h>

#include "base/err.h"

MUST err_t thread_start(pthread_t *, void *(*fn)(void *), void *arg); /* E_NO_MEMORY */
