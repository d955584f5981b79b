/* SPDX-License-Identifier: MIT */
/* unit.h -- what cmocka wants before its own header, in one place. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define assert_slice(s, literal)                                                                                       \
    do {                                                                                                               \
        struct slice got_ = (s);                                                                                       \
        assert_int_equal(got_.n, sizeof(literal) - 1);                                                                 \
        assert_memory_equal(got_.p, literal, sizeof(literal) - 1);                                                     \
    } while (0)
#define assert_ok(call)     assert_null(call)
#define assert_err(call, e) assert_ptr_equal(call, e)
