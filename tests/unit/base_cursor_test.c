/* SPDX-License-Identifier: MIT */
#include "base/cursor.h"

#include "unit.h"

static void both_ways(void **state)
{
    (void)state;
    uint8_t bytes[32];
    struct cursor w = cursor_writer(bytes, sizeof bytes);
    cursor_put(&w, 0x12, 1);
    cursor_put(&w, 0x3456, 2);
    cursor_put(&w, 0x789abcde, 4);
    cursor_put(&w, 0x1122334455667788, 8);
    cursor_put_bytes(&w, S("abc"));
    cursor_put_zeros(&w, 2);
    assert_false(w.bad);
    assert_int_equal(w.at, 20);
    static const uint8_t want[] = {0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0x11, 0x22, 0x33,
                                   0x44, 0x55, 0x66, 0x77, 0x88, 'a',  'b',  'c',  0,    0};
    assert_memory_equal(bytes, want, sizeof want);
    struct cursor r = cursor_reader(slice_of(bytes, w.at));
    assert_int_equal(cursor_get_u8(&r), 0x12);
    assert_int_equal(cursor_get_u16(&r), 0x3456);
    assert_int_equal(cursor_get_u32(&r), 0x789abcde);
    assert_true(cursor_get_u64(&r) == 0x1122334455667788);
    assert_slice(cursor_get_bytes(&r, 3), "abc");
    assert_int_equal(cursor_left(&r), 2);
    assert_false(r.bad);
}

static void errors_stick(void **state)
{
    (void)state;
    struct cursor r = cursor_reader(S("\1\2\3"));
    assert_int_equal(cursor_get_u16(&r), 0x0102);
    assert_int_equal(cursor_get_u16(&r), 0);
    assert_true(r.bad);
    assert_int_equal(cursor_get_u8(&r), 0); /* one byte is left, but the reading went wrong before it */
    assert_null(cursor_get_bytes(&r, 0).p);
    uint8_t small[3] = {9, 9, 9};
    struct cursor w = cursor_writer(small, sizeof small);
    cursor_put(&w, 1, 2);
    cursor_put(&w, 2, 2);
    cursor_put(&w, 3, 1);
    assert_true(w.bad);
    assert_int_equal(small[2], 9); /* nothing was written past the error */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(both_ways), cmocka_unit_test(errors_stick)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
