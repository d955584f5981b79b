/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include <stdio.h>
#include <unistd.h>

#include "unit.h"

static void grows_and_eats(void **state)
{
    (void)state;
    struct buf b = {0};
    for (int i = 0; i < 1000; i++)
        assert_ok(buf_format(&b, "%03d,", i));
    assert_int_equal(b.n, 4000);
    assert_slice(slice_first(buf_slice(&b), 8), "000,001,");
    buf_eat(&b, 3992);
    assert_slice(buf_slice(&b), "998,999,");
    assert_ok(buf_add_char(&b, '!'));
    assert_ok(buf_add(&b, SLICE_NONE));
    assert_slice(buf_slice(&b), "998,999,!");
    buf_eat(&b, b.n);
    assert_int_equal(b.n, 0);
    buf_free(&b);
    assert_null(b.p);
}

static void refuses_to_pass_its_maximum(void **state)
{
    (void)state;
    struct buf b = {.max = 10};
    char *at;
    assert_ok(buf_add(&b, S("12345678")));
    assert_err(buf_add(&b, S("abc")), E_TOO_LARGE);
    assert_slice(buf_slice(&b), "12345678"); /* nothing was added in part */
    assert_err(buf_format(&b, "%s", "abc"), E_TOO_LARGE);
    assert_ok(buf_room(&b, 2, &at));
    at[0] = '9', at[1] = '0', b.n += 2;
    assert_err(buf_add_char(&b, 'x'), E_TOO_LARGE);
    assert_err(buf_room(&b, SIZE_MAX, &at), E_TOO_LARGE);
    buf_free(&b);
    assert_int_equal(b.max, 10);
}

static void long_formats(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_ok(buf_format(&b, "%5000d|", 7));
    assert_int_equal(b.n, 5001);
    assert_int_equal(b.p[4999], '7');
    buf_free(&b);
}

static void writes_a_file_or_says_why_not(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_ok(buf_add(&b, S("two\nlines\n")));
    assert_ok(buf_write_file(&b, "base_buf_test.out"));
    FILE *f = fopen("base_buf_test.out", "r");
    char got[32];
    assert_int_equal(fread(got, 1, sizeof got, f), 10);
    assert_memory_equal(got, "two\nlines\n", 10);
    fclose(f);
    assert_int_equal(unlink("base_buf_test.out"), 0);
    assert_err(buf_write_file(&b, "/nowhere/at/all"), E_NOT_FOUND);
    assert_err(buf_write_file(&b, "/dev/full"), E_IO);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(grows_and_eats), cmocka_unit_test(refuses_to_pass_its_maximum),
                                       cmocka_unit_test(long_formats), cmocka_unit_test(writes_a_file_or_says_why_not)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
