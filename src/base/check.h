/* SPDX-License-Identifier: MIT */
/*
 * check.h -- invariants that stay on in release builds.
 *
 * A failed CHECK is a bug in this program, never bad input: it names the place and aborts. Long-lived
 * objects begin with a magic number that their functions check, so that a stale pointer is caught at
 * the door (after varnish's miniobj).
 */
#pragma once

#include <stdint.h>

__attribute__((cold)) _Noreturn void check_failed(const char *expr, const char *file, int line, const char *func);

#define CHECK(expr)   (__builtin_expect(!!(expr), 1) ? (void)0 : check_failed(#expr, __FILE__, __LINE__, __func__))
#define UNREACHABLE() check_failed("unreachable", __FILE__, __LINE__, __func__)

#define CHECK_MAGIC(object, value) CHECK((object) != NULL && (object)->magic == (value))
