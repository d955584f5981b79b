/* SPDX-License-Identifier: MIT */
#include "http/date.h"

#include <time.h>

#include "unit.h"

static const int64_t now_s = 1795000000; /* November 2026 */

static int64_t parsed(const char *z)
{
    int64_t t = -1;
    assert_true(date_parse(slice_z(z), now_s, &t));
    return t;
}

static void the_three_forms_of_the_rfc(void **state)
{
    (void)state;
    assert_int_equal(parsed("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
    assert_int_equal(parsed("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777);
    assert_int_equal(parsed("Sun Nov  6 08:49:37 1994"), 784111777);
    assert_int_equal(parsed("Wed Nov 16 08:49:37 1994"), 784111777 + 10 * 86400);
}

static void two_digit_years(void **state)
{
    (void)state;
    assert_int_equal(parsed("Friday, 01-Jan-27 00:00:00 GMT"), 1798761600); /* next year */
    assert_int_equal(parsed("Friday, 01-Jan-77 00:00:00 GMT"), 220924800);  /* 51 years ahead: 1977 */
}

static void what_is_no_date(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "Sun",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 06 Nov 1994 08:49:3x GMT",
        "Sunday, 06-Nov-94 08:49:37",
        "Sunday, 06 Nov 94 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 94",
        "0",
        "1994-11-06T08:49:37Z",
        "Funday, 06-Nov-94 08:49:37 GMT",
    };
    int64_t t = 5;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(date_parse(slice_z(bad[i]), now_s, &t));
    assert_int_equal(t, 5);
}

static void formats_as_the_c_library_does(void **state)
{
    (void)state;
    for (int64_t t = -5000000000; t < 60000000000; t += 86399 * 37) {
        char ours[DATE_LENGTH + 1], theirs[64];
        time_t c = (time_t)t;
        struct tm tm;
        strftime(theirs, sizeof theirs, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&c, &tm));
        date_format(t, ours);
        assert_string_equal(ours, theirs);
        assert_int_equal(parsed(ours), t);
    }
}

static void clamped_to_four_digit_years(void **state)
{
    (void)state;
    char out[DATE_LENGTH + 1];
    date_format(INT64_MAX, out);
    assert_string_equal(out, "Fri, 31 Dec 9999 23:59:59 GMT");
    date_format(INT64_MIN, out);
    assert_string_equal(out, "Mon, 01 Jan 0001 00:00:00 GMT");
}

static void the_cache_follows_the_second(void **state)
{
    (void)state;
    assert_slice(date_cached(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_slice(date_cached(1), "Thu, 01 Jan 1970 00:00:01 GMT");
    assert_slice(date_cached(1), "Thu, 01 Jan 1970 00:00:01 GMT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_three_forms_of_the_rfc),
        cmocka_unit_test(two_digit_years),
        cmocka_unit_test(what_is_no_date),
        cmocka_unit_test(formats_as_the_c_library_does),
        cmocka_unit_test(clamped_to_four_digit_years),
        cmocka_unit_test(the_cache_follows_the_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
