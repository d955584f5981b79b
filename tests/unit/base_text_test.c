/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "base/clock.h"
#include "base/text.h"

static void durations(void **state)
{
    (void)state;
    int64_t ns = 0;
    assert_ok(text_duration(S("250ms"), &ns));
    assert_int_equal(ns, 250 * TICK_MS);
    assert_ok(text_duration(S("1.5"), &ns));
    assert_int_equal(ns, 1500 * TICK_MS);
    assert_ok(text_duration(S("1d"), &ns));
    assert_int_equal(ns, 86400 * TICK_S);
    assert_err(text_duration(S("1w"), &ns), E_USAGE);
    assert_err(text_duration(S("-1s"), &ns), E_USAGE);
    assert_err(text_duration(S(""), &ns), E_USAGE);
}

static void sizes(void **state)
{
    (void)state;
    uint64_t n = 0;
    assert_ok(text_size(S("64K"), &n));
    assert_int_equal(n, 65536);
    assert_ok(text_size(S("1.5m"), &n));
    assert_int_equal(n, 1572864);
    assert_err(text_size(S("12Q"), &n), E_USAGE);
    assert_err(text_size(S("1KB"), &n), E_USAGE);
}

static void controls_never_reach_the_terminal(void **state)
{
    (void)state;
    char out[64];
    text_safe(S("a\x1b[2Jb\xc2\x9bz\xff\xe2\x80\xae \xc3\xa9"), out, sizeof out);
    assert_string_equal(out, "a\\x1b[2Jb\\xc2\\x9bz\\xff\\xe2\\x80\\xae \xc3\xa9");
    assert_int_equal(text_safe(S("abcdef"), out, 4), 3);
}

static void base64_is_strict(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_ok(text_base64_add(&b, S("\0\xff\x10z")));
    assert_slice(buf_slice(&b), "AP8Qeg==");
    struct buf back = {0};
    assert_ok(text_base64_decode(buf_slice(&b), &back));
    assert_slice(buf_slice(&back), "\0\xff\x10z");
    assert_err(text_base64_decode(S("AP8Qeh=="), &back), E_DATA);
    assert_err(text_base64_decode(S("AP8"), &back), E_DATA);
    assert_err(text_base64_decode(S("A=8Q"), &back), E_DATA);
    buf_free(&b);
    buf_free(&back);
}

static void distance_counts_a_swap_as_one(void **state)
{
    (void)state;
    assert_int_equal(text_distance(S("lsiten"), S("listen")), 1);
    assert_int_equal(text_distance(S("serve"), S("server")), 1);
    assert_int_equal(text_distance(S(""), S("abc")), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations),
        cmocka_unit_test(sizes),
        cmocka_unit_test(base64_is_strict),
        cmocka_unit_test(controls_never_reach_the_terminal),
        cmocka_unit_test(distance_counts_a_swap_as_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
