/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "app/get/rules.h"
#include "http/uri.h"

static void redirects(void **state)
{
    (void)state;
    assert_true(rules_redirects(308));
    assert_false(rules_redirects(304));
    assert_true(rules_becomes_get(303, S("PUT")));
    assert_true(rules_becomes_get(301, S("POST")));
    assert_false(rules_becomes_get(301, S("PUT")));
    assert_false(rules_becomes_get(307, S("POST")));
    assert_false(rules_becomes_get(303, S("HEAD")));
}

static bool same(const char *a, const char *b)
{
    struct uri u, v;
    assert_ok(uri_parse(slice_z(a), &u));
    assert_ok(uri_parse(slice_z(b), &v));
    return rules_same_origin(&u, &v);
}

static void origins(void **state)
{
    (void)state;
    assert_true(same("http://Example.org/a", "http://example.org:80/b"));
    assert_false(same("http://example.org/", "https://example.org/"));
    assert_false(same("http://example.org/", "http://example.org:8080/"));
    assert_false(same("http://example.org/", "http://www.example.org/"));
}

static void retries(void **state)
{
    (void)state;
    int64_t ns = 0;
    assert_true(rules_transient(503) && rules_transient(429) && !rules_transient(501) && !rules_transient(404));
    assert_int_equal(rules_backoff(1), TICK_S);
    assert_int_equal(rules_backoff(4), 8 * TICK_S);
    assert_int_equal(rules_backoff(100), 600 * TICK_S);
    assert_true(rules_retry_after(S("120"), 0, &ns));
    assert_int_equal(ns, 120 * TICK_S);
    assert_true(rules_retry_after(S("Thu, 01 Jan 1970 00:01:00 GMT"), 50, &ns));
    assert_int_equal(ns, 10 * TICK_S);
    assert_false(rules_retry_after(S("soon"), 0, &ns));
}

static void no_proxy(void **state)
{
    (void)state;
    assert_true(rules_no_proxy(S("a.org, example.org"), S("www.Example.org"), 80));
    assert_true(rules_no_proxy(S(".example.org"), S("example.org"), 80));
    assert_false(rules_no_proxy(S("example.org"), S("badexample.org"), 80));
    assert_true(rules_no_proxy(S("example.org:8080"), S("example.org"), 8080));
    assert_false(rules_no_proxy(S("example.org:8080"), S("example.org"), 80));
    assert_true(rules_no_proxy(S("10.0.0.0/8,::1"), S("10.2.3.4"), 80));
    assert_true(rules_no_proxy(S("10.0.0.0/8,::1"), S("::1"), 80));
    assert_false(rules_no_proxy(S("10.0.0.0/8"), S("11.2.3.4"), 80));
    assert_false(rules_no_proxy(S("3.4"), S("1.2.3.4"), 80));
    assert_true(rules_no_proxy(S("*"), S("anything"), 80));
    assert_false(rules_no_proxy(S(""), S("anything"), 80));
}

static const char *name_of(struct slice disposition)
{
    static char out[256];
    return rules_disposition_name(disposition, out, sizeof out) ? out : "";
}

static void names(void **state)
{
    (void)state;
    char out[256];
    assert_true(rules_url_name(S("/a/b%20c.txt"), out, sizeof out));
    assert_string_equal(out, "b c.txt");
    assert_false(rules_url_name(S("/a/"), out, sizeof out));
    assert_false(rules_url_name(S("/a/..%2f..%2fetc"), out, sizeof out));
    assert_false(rules_url_name(S("/a/.."), out, sizeof out));
    assert_false(rules_url_name(S("/a/x%0a"), out, sizeof out));
    assert_string_equal(name_of(S("attachment; filename=\"a \\\"b\\\";c.txt\"")), "a \"b\";c.txt");
    assert_string_equal(name_of(S("attachment; filename=x; filename*=UTF-8''%e2%82%ac.txt")), "\xe2\x82\xac.txt");
    assert_string_equal(name_of(S("attachment; filename=\"..\\..\\evil.exe\"")), "evil.exe");
    assert_string_equal(name_of(S("attachment; filename=\"/etc/passwd\"")), "passwd");
    assert_string_equal(name_of(S("attachment; filename=\".bashrc\"")), "bashrc");
    assert_string_equal(name_of(S("attachment")), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(redirects), cmocka_unit_test(origins), cmocka_unit_test(retries),
        cmocka_unit_test(no_proxy),  cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
