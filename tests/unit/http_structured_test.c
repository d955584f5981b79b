/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "http/structured.h"

static int count(const char *text, bool *bad)
{
    struct slice rest = slice_z(text);
    struct structured_member m;
    int n = 0;
    *bad = false;
    while (structured_dict_next(&rest, &m, bad))
        n++;
    return n;
}

static void whole_fields(void **state)
{
    (void)state;
    static const char *good[] = {
        "a",         "a=1",       "a=1, b=?0", "a=\"x, y\"", "a;p=1;q, b", "a=(1 2 \"z\");x", "a=:YQ==:", "a=@17",
        "a=%\"c3\"", "*k=tok/en", "a=-1.5",    "a=1 ,\tb=2", "a=()",       "a=(\"b\";q=1 c)"};
    static const char *wrong[] = {
        "A=1",  "a=",   "a=1,",      "a=1 b=2", "a=\"x", "a=1.2345", "a,,b",  "&",
        "a=(1", "a=?2", "a=\"\\x\"", "a =1",    "a= 1",  "a=1.",     "a=:?:", "a=1234567890123456"};
    bool bad;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(count(good[i], &bad) > 0);
        assert_false(bad);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        count(wrong[i], &bad);
        if (!bad)
            fail_msg("accepted: %s", wrong[i]);
    }
}

static void values(void **state)
{
    (void)state;
    struct slice rest = S("max-age=60, x=\"a\\\"b\", y, z=?0");
    struct structured_member m;
    bool bad = false;
    assert_true(structured_dict_next(&rest, &m, &bad));
    assert_slice(m.key, "max-age");
    assert_slice(m.value, "60");
    assert_int_equal(m.type, STRUCTURED_INTEGER);
    assert_true(structured_dict_next(&rest, &m, &bad));
    assert_slice(m.value, "a\\\"b");
    assert_int_equal(m.type, STRUCTURED_STRING);
    assert_true(structured_dict_next(&rest, &m, &bad));
    assert_int_equal(m.type, STRUCTURED_TRUE);
    assert_true(structured_dict_next(&rest, &m, &bad));
    assert_int_equal(m.type, STRUCTURED_FALSE);
    assert_false(structured_dict_next(&rest, &m, &bad));
    assert_false(bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole_fields), cmocka_unit_test(values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
