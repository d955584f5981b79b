/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "http/cache_control.h"

static struct cache_control parse(const char *value)
{
    struct cache_control cc;
    cache_control_init(&cc);
    cache_control_add(&cc, slice_z(value));
    return cc;
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        int64_t age;
    } rows[] = {
        {"max-age=60", 60},
        {"MAX-age=60", 60},
        {"max-age=\"60\"", 60},
        {"max-age=0060", 60},
        {"max-age=2147483648", CC_SECONDS_MAX},
        {"max-age=2147483649", CC_SECONDS_MAX},
        {"max-age=99999999999999999999999999", CC_SECONDS_MAX},
        {"max-age", 0},
        {"max-age=", 0},
        {"max-age='60'", 0},
        {"max-age=60.0", 0},
        {"max-age=-60", 0},
        {"max-age=a60", 0},
        {"max-age=60a", 0},
        {"max-age =60", 0},
        {"max-age= 60", 0},
        {"max-age=6\\0", 0},
        {"max-age=60, max-age=1", 1},
        {"max-age=1, max-age=60", 1},
        {"x=\"max-age=3600\", max-age=1", 1},
        {"max-age=1, x=\"max-age=3600\"", 1},
        {"x=\"a\\\", max-age=9\", max-age=1", 1},
        {"x=\"max-age=3600", CC_ABSENT},
        {"xmax-age=60", CC_ABSENT},
        {",, max-age=60 ,,", 60},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cache_control cc = parse(rows[i].value);
        if (cc.max_age != rows[i].age)
            fail_msg("%s: %lld", rows[i].value, (long long)cc.max_age);
    }
}

static void the_careful_reading(void **state)
{
    (void)state;
    assert_true(parse("no-store=1").has & CC_NO_STORE);
    assert_false(parse("public=1").has & CC_PUBLIC);
    assert_true(parse("private=\"\"").has & CC_PRIVATE);
    assert_false(parse("private=\"a\"").has & CC_PRIVATE);
    assert_slice(parse("no-cache=\"Set-Cookie, x\"").strip[0], "Set-Cookie, x");
    assert_slice(parse("no-cache=x").strip[0], "x");
    assert_true(parse("no-cache=a, no-cache=b, private=c, private=d, private=e").has & CC_PRIVATE);
    assert_int_equal(parse("stale-while-revalidate=x").stale_while_revalidate, CC_ABSENT);
    assert_int_equal(parse("stale-if-error=9, stale-if-error=3").stale_if_error, 3);
    assert_int_equal(parse("min-fresh=3, min-fresh=9").min_fresh, 9);
    assert_true(parse("max-stale").has & CC_MAX_STALE_ANY);
    assert_false(parse("max-stale=x").has & CC_MAX_STALE_ANY);
}

static void targeted(void **state)
{
    (void)state;
    struct cache_control cc;
    assert_true(cache_control_targeted(&cc, S("max-age=60, no-cache=\"a\"")));
    assert_int_equal(cc.max_age, 60);
    assert_int_equal(cc.strip_count, 1);
    static const char *ignored[] = {"",           "max-age=10000, &&&", "max-age=\"60\"", "max-age=60.0",
                                    "MaX-aGe=60", "max-age =60",        "max-age=-1",     "no-store=?0",
                                    "no-cache=1", "private=x"};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        if (cache_control_targeted(&cc, slice_z(ignored[i])))
            fail_msg("accepted: %s", ignored[i]);
    assert_int_equal(cc.max_age, 60); /* untouched */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbers), cmocka_unit_test(the_careful_reading),
                                       cmocka_unit_test(targeted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
