/* SPDX-License-Identifier: MIT */
/*
 * offload.h -- blocking work (cold files, getaddrinfo, fsync, SQLite) on a few threads of the process.
 *
 * The calling fiber waits; its loop does not. Work that has not started when the deadline or the cancellation
 * comes is withdrawn; work that has started is waited for, because `arg` lives on the caller's stack.
 */
#pragma once

#include "rt/fiber.h"

enum { OFFLOAD_THREADS = 4 };

MUST err_t offload(err_t (*fn)(void *), void *arg, tick until);
